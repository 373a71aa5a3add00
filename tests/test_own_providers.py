"""Users' own provider files, in providers.d beside the config: loaded with those that ship, checked as strictly."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.collect.provider import load_shelf
from budgetd.config import load_config
from budgetd.errors import ConfigError
from budgetd.planning import make_plan
from collecting import HEAD
from conftest import WriteConfig

OWN = HEAD + 'left = { path = "left", type = "number" }\n[meters.credits]\nkind = "balance"\nremaining = "left"\n'
ACCOUNT = '[accounts.a]\nprovider = "acme"\napi_key = "k"\n[channels.ops]\nurl = "json://localhost"\n'


def put(folder: Path, name: str, text: str) -> Path:
    (folder / "providers.d").mkdir(exist_ok=True)
    file = folder / "providers.d" / f"{name}.toml"
    file.write_text(text)
    return file


def test_an_own_provider_is_polled_as_any_other(write_config: WriteConfig, tmp_path: Path) -> None:
    put(tmp_path, "acme", OWN)
    plan = make_plan(load_config(write_config(ACCOUNT)))
    assert plan.scheduled["a"].source.provider.name == "acme"


def test_a_config_that_is_read_anew_has_the_providers_that_are_there_then(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    path = write_config(ACCOUNT)
    with pytest.raises(ConfigError, match="no provider is named 'acme'"):
        make_plan(load_config(path))
    put(tmp_path, "acme", OWN)
    make_plan(load_config(path))


def test_one_of_the_same_name_replaces_ours_and_says_so(write_config: WriteConfig, tmp_path: Path) -> None:
    file = put(tmp_path, "cargo", OWN.replace('"acme"', '"cargo"').replace('"Acme"', '"My Cargo"'))
    path = write_config(ACCOUNT.replace("acme", "cargo"))
    ran = CliRunner().invoke(app, ["check", "-c", str(path)])
    assert f"{file}: replaces the provider cargo that ships\n" in ran.output
    ran = CliRunner().invoke(app, ["providers", "cargo", "-c", str(path)])
    assert ran.output.startswith("cargo: My Cargo\n")
    assert ran.output.endswith(f"\nyours: cargo, from {file}, instead of the one that ships\n")
    ran = CliRunner().invoke(app, ["providers", "cargo", "--json", "-c", str(path)])
    assert json.loads(ran.output)[0]["file"] == str(file)


def test_all_that_is_wrong_with_own_files_is_said_with_the_rest(write_config: WriteConfig, tmp_path: Path) -> None:
    acme = put(tmp_path, "acme", OWN.replace('type = "number"', 'type = "numbr"').replace("base_url", "base_ulr"))
    other = put(tmp_path, "other", "name =")
    path = write_config(ACCOUNT + "[[routes]]\nchannels = ['opps']\n")
    ran = CliRunner().invoke(app, ["check", "-c", str(path)])
    assert isinstance(ran.exception, ConfigError)
    assert [line.partition(" is missing")[0] for line in ran.exception.problems] == [
        f"{acme}: base_url:",
        f'{acme}: requests.info.values.left.type: there is no "numbr" here; did you mean number?',
        f"{acme}: base_ulr: unknown key; did you mean base_url?",
        f"{other}: the end: Invalid value; text stands in quotes",
        f"{path}: routes#1.channels: no channel is named 'opps'; did you mean ops?",
    ]


def test_a_wrong_file_does_not_hide_the_other_providers(write_config: WriteConfig, tmp_path: Path) -> None:
    file = put(tmp_path, "acme", "name =")
    ran = CliRunner().invoke(app, ["providers", "-c", str(write_config(""))])
    assert "Cekura" in ran.output
    assert str(ran.exception).startswith(f"{file}: ")


@pytest.mark.parametrize("name", ["new", "acme~", ".#acme"])
def test_what_is_no_provider_file_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.toml{'~' if name == 'acme~' else ''}").write_text("name =")
    shelf = load_shelf(tmp_path)
    assert list(shelf.problems) == (["new"] if name == "new" else [])


def test_a_folder_that_is_none_is_said(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "providers.d").write_text("")
    with pytest.raises(ConfigError, match=r"providers\.d: can't be read: Not a directory"):
        make_plan(load_config(write_config(ACCOUNT)))


def test_without_any_config_the_providers_are_those_that_ship() -> None:
    ran = CliRunner().invoke(app, ["providers"])
    assert ran.exit_code == 0
    assert "yours" not in ran.output
