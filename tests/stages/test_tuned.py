"""Where tests and benchmarks get tuned values from."""

from crawl2chat.training.settings import TrainingParams
from stages.files import read_yaml
from stages.settings import PARAMS, PROJECT, tuned


def test_what_a_stage_leaves_to_its_preset_has_the_default_of_the_class_asked_for() -> None:
    """The benchmarks of training ask for the dials that pretrain shares with others, and pretrain's are null there."""
    section = read_yaml(PROJECT / PARAMS)["pretrain"]
    assert section["muon_lr"] is None and section["epochs"] is None
    params = tuned(TrainingParams, batch_rows=3)
    assert params.muon_lr == TrainingParams.model_fields["muon_lr"].default
    assert (params.batch_rows, params.decay, params.steps) == (3, section["decay"], None)
