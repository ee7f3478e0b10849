"""Damaged records against the real stage, as the benchmark does it, at its smallest."""

import json

import pytest

from benchmarks import faults


@pytest.mark.slow
def test_no_damage_stops_the_stage_and_every_record_is_accounted_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faults, "BOMB", 40 << 20)  # above extract.max_megabytes still
    assert faults.main(["--records", "120", "--workers", "2"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["records"] >= 120 and result["documents"] > 10
    assert (result["unaccounted"], result["crashes"], result["hangs"]) == (0, 0, 0)
    assert {"broken_record", "wrong_length", "too_large", "broken_body"} <= set(result["lost"])
