"""The channels of a config, checked: their URLs, templates, quiet hours, appointments and fallbacks."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from budgetd.config import ChannelTable, Config
from budgetd.credentials import Secret, SecretSource
from budgetd.deliver.channels import format_of, url_problem
from budgetd.validation import did_you_mean
from budgetd_rules.appointments import Diary, Report
from budgetd_rules.routing import Route, Routing
from budgetd_rules.schedules import Quiet

if TYPE_CHECKING:
    from budgetd.deliver.templates import Template


class ChannelPlanner:
    """`secret` reads the secret under a key of the config; `problem` is called with a key and what is wrong there."""

    def __init__(
        self,
        config: Config,
        secret: Callable[[str, Secret | SecretSource], Secret | None],
        problem: Callable[[str, str], None],
    ) -> None:
        self._folder, self._default_zone = config.path.parent, config.file.daemon.timezone
        self._tables, self._secret, self._problem = config.file.channels, secret, problem

    def routing(self, routes: tuple[Route, ...]) -> Routing:
        tables = self._tables.items()
        return Routing(
            routes=routes,
            group_wait={name: table.group_wait for name, table in tables},
            quiet={name: Quiet(ranges=table.quiet, zone=self._zone(table)) for name, table in tables},
            fallbacks=self._fallbacks(),
            diaries={name: self._diary(table) for name, table in tables if table.digest or table.drill},
        )

    def urls(self, names: Collection[str]) -> dict[str, Secret]:
        found = {name: self._url(name, self._tables[name].url) for name in names}
        return {name: url for name, url in found.items() if url}

    def templates(self, urls: Mapping[str, Secret]) -> "dict[str, Template]":
        """The templates of the channels that have one."""
        own = {name: table for name, table in self._tables.items() if table.title or table.body}
        found = {name: self._template(name, table, urls[name]) for name, table in own.items() if name in urls}
        return {name: template for name, template in found.items() if template}

    def _zone(self, table: ChannelTable) -> ZoneInfo:
        return ZoneInfo(table.timezone or self._default_zone)

    def _diary(self, table: ChannelTable) -> Diary:
        found = {Report.DIGEST: table.digest, Report.DRILL: table.drill}
        return Diary(appointments={report: at for report, at in found.items() if at}, zone=self._zone(table))

    def _url(self, name: str, setting: Secret | SecretSource) -> Secret | None:
        key = f"channels.{name}.url"
        url = self._secret(key, setting)
        problem = url_problem(url) if url else None
        if problem:
            self._problem(key, problem)
        return url

    def _fallbacks(self) -> dict[str, str]:
        named = {name: table.fallback for name, table in self._tables.items() if table.fallback is not None}
        for name, fallback in named.items():
            key = f"channels.{name}.fallback"
            if fallback == name:
                self._problem(key, "a channel that can't be told anything is no fallback for itself; name another")
            elif fallback not in self._tables:
                hint = did_you_mean(fallback, list(self._tables), f"write [channels.{fallback}]")
                self._problem(key, f"no channel is named {fallback!r}{hint}")
        return named

    def _template(self, name: str, table: ChannelTable, url: Secret) -> "Template | None":
        from budgetd.deliver.template_trial import try_template  # noqa: PLC0415 - Jinja is 40 ms that most configs do not need

        if url_problem(url):
            return None
        template, problems = try_template(table, self._folder, format_of(url), self._zone(table))
        for key, what in problems:
            self._problem(f"channels.{name}.{key}", what)
        return template
