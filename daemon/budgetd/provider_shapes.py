"""The JSON shapes of `providers --json` and `act ACCOUNT --json`, in the manner of `json_shapes`."""

from budgetd.collect.plans import Action
from budgetd.collect.provider import Provider
from budgetd.durations import format_duration
from budgetd.json_shapes import Json


def provider_json(provider: Provider) -> Json:
    rate = provider.rate_limit
    return {
        "provider": provider.name,
        "title": provider.title,
        "docs": provider.docs,
        "evidence": provider.evidence,
        "base_url": provider.base_url,
        "key": provider.key_hint,
        "rate_limit": {"requests": rate.requests, "per": format_duration(rate.per)} if rate else None,
        "params": [
            {
                "param": name,
                "help": param.help,
                "required": param.required,
                "secret": param.secret,
                "default": param.default,
            }
            for name, param in provider.params.items()
        ],
        "meters": [
            {"meter": meter.name, "kind": meter.kind, "unit": meter.unit, "fields": sorted(meter.gives)}
            for meter in provider.meters.values()
        ],
    }


def action_json(action: Action) -> Json:
    return {
        "action": action.name,
        "title": action.title,
        "args": [{"arg": name, "help": arg.help, "secret": arg.secret} for name, arg in action.args.items()],
    }
