"""The training function of ``distributed_digits.py`` under Ray Train, with a worker that is killed.

    python examples/distributed_ray.py runs/digits

In its third epoch one of two workers is killed; Ray starts the workers again, and the run goes on
from its last checkpoint. ``--min-workers`` and more nodes make its size elastic.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any


def worker(config: dict[str, Any]) -> None:
    """What Ray starts on every worker, again after a failure."""
    from distributed_digits import train_digits
    from ray import train

    from tinygrad_cnn import distributed

    communicator = distributed.Ray()
    killed = Path(config["folder"]) / "killed"

    def kill_once(history: Any, model: Any) -> None:
        if len(history) == 3 and communicator.rank == communicator.size - 1 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    history = train_digits(communicator, config["folder"], config["epochs"], [kill_once])
    train.report({"epochs": len(history), "accuracy": history.best.validation_accuracy})


def run(folder: str, epochs: int = 6, workers: int = 2) -> dict[str, Any]:
    """Train with workers that are started again up to three times; the metrics of the last."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=workers, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths}}
    )
    try:
        trainer = DataParallelTrainer(
            worker,
            train_loop_config={"folder": str(Path(folder).resolve()), "epochs": epochs},
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(
                storage_path=str(Path(folder).resolve() / "ray"),
                failure_config=FailureConfig(max_failures=3),
            ),
        )
        return dict(trainer.fit().metrics)
    finally:
        ray.shutdown()


def main() -> None:
    """Run it and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the checkpoints, which every machine must see")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    Path(options.folder).mkdir(parents=True, exist_ok=True)
    print(run(options.folder, options.epochs))


if __name__ == "__main__":
    main()
