"""Before the first run: what is missing here, settings for the data, completion of commands."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from jobs.cli import main
from jobs.starting import doctor
from jobs.starting.first_settings import write_settings

ROWS = [{"frage": "Wie geht's?", "antwort": "元気です", "thema": "Alltag"}] * 3
PAIRS = [{"question": "Wie geht's?", "answer": "元気です", "topic": "Alltag"}] * 3


def written(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "my data.v2.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_the_settings_are_those_of_the_data_and_can_be_read(tmp_path: Path):
    data, to = written(tmp_path, PAIRS), tmp_path / "mine.yml"
    text = write_settings([str(data)], to, overwrite=False)
    assert f"instructmining score --settings {to}" in text
    settings = load_settings(str(to))
    assert settings.input == (str(data),)
    assert settings.pool == "my data"
    assert settings.read.keep == ("topic",)
    assert "# Of 3 records that were looked at: pairs 3." in to.read_text()
    assert "#   prompt: question" in to.read_text()


def test_records_of_no_known_layout_get_a_line_for_their_fields(tmp_path: Path):
    to = tmp_path / "mine.yml"
    write_settings([str(written(tmp_path, ROWS))], to, overwrite=False)
    assert load_settings(str(to)).read.columns == {"prompt": "FIELD", "response": "FIELD"}
    assert "quarantined: 3 unknown_format" in to.read_text()
    with pytest.raises(UserError, match=r"mine\.yml exists"):
        write_settings([str(written(tmp_path, ROWS))], to, overwrite=False)


def test_data_for_spark_only_and_no_data_are_refused(tmp_path: Path):
    for data, sentence in ((["table:a.b"], "read by Spark only"), ([], "name your data")):
        with pytest.raises(UserError, match=sentence):
            write_settings(data, tmp_path / "mine.yml", overwrite=False)


def by_name(**options: object) -> dict[str, doctor.Check]:
    settings = load_settings(options=options)
    checks = doctor.checks(settings.store, settings.tracking.uri, settings.models)
    return {check.name: check for check in checks}


def test_a_machine_on_which_the_tests_run_is_ready(tmp_path: Path):
    found = by_name(store=str(tmp_path / "out"))
    assert [name for name, check in found.items() if check.remedy] == []
    assert {"Java", "Spark", "Delta", "GPU", "memory", "disk", "MLflow", "embed model"} <= set(
        found
    )


def test_each_thing_that_is_missing_has_its_remedy(tmp_path: Path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("INSTRUCTMINING_JARS", str(tmp_path))
    monkeypatch.setattr(doctor, "machine_memory", lambda: 2**31)
    with socket.socket() as closed:  # nobody listens at its port
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        list_of_mine = tmp_path / "mine.yml"
        list_of_mine.write_text(
            "name: mine\nreward: {kind: causal_lm, source: ./nowhere, indicators: [reward]}\n"
        )
        found = by_name(tracking={"uri": uri}, models=str(list_of_mine))
    remedies = {name: check.remedy for name, check in found.items() if check.remedy}
    assert found["Java"].said.startswith("11 ")
    assert "JRE 17 or 21" in remedies["Java"]
    assert "put delta-spark's jars there" in remedies["Delta"]
    assert "6 GiB are needed" in remedies["memory"]
    assert "does not answer" in remedies["MLflow"]
    assert "there is no folder nowhere" in remedies["reward model"]
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert by_name()["Java"].said.endswith("java does not start")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, capsys):
    main(["completion", shell])
    script = capsys.readouterr().out
    assert "_INSTRUCTMINING_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
