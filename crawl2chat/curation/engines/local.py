"""Shards in processes of this machine, with workers whose death is noticed.

datatrove hands shards to a process pool; when a worker is killed there, by the kernel for want of memory or by a crash
in native code, its shard is never reported and the pool waits forever. Here a dead worker is seen at once, its shard is
done again alone, and if that worker dies too the run ends with a sentence. In: a pipeline. Out: completion markers.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine


def run(name: str, pipeline: list[Any], tasks: int, logs: Path, machine: Machine) -> None:
    """Do the unfinished shards; with one worker in this process."""
    WatchedExecutor(pipeline, tasks=tasks, workers=machine.processes(tasks), logging_dir=str(logs)).run()


class WatchedExecutor(LocalPipelineExecutor):
    """Shards in worker processes; in this process with one worker."""

    def run(self) -> Any:
        if self.workers == 1:
            return super().run()
        self.save_executor_as_json()
        todo = list(self.get_incomplete_ranks())
        self._run(todo, min(self.workers, len(todo)))
        if todo := list(self.get_incomplete_ranks()):
            deaths = self._run(todo, 1)  # alone, so with all the memory there is
            if deaths:
                raise UserError(
                    f"A worker was killed twice (exit code {deaths[0]}) in shard {self.get_incomplete_ranks()[0]}, "
                    "most likely for want of memory: lower the number of workers or raise that of tasks; finished "
                    "shards are kept for the next run."
                )

    def _run(self, ranks: list[int], workers: int) -> list[int]:
        """Do the shards; the exit codes of workers that died.

        Each worker has a pipe of its own: nothing is shared that one of them could leave locked, and no process
        outlives this one.
        """
        import multiprocess
        from multiprocess.connection import wait

        context = multiprocess.get_context(self.start_method)
        todo, dead = iter(ranks), []
        running = {}
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=work_on_shards, args=(self, number, theirs), daemon=True)
            process.start()
            theirs.close()
            running[ours] = process
        try:
            while running:
                for pipe in wait(list(running)):
                    try:
                        failure = pipe.recv()
                        if failure:
                            raise failure
                        pipe.send(next(todo, None))
                    except (EOFError, OSError):  # it ended, as asked or not
                        process = running.pop(pipe)
                        process.join()
                        dead += [process.exitcode] if process.exitcode else []
            return dead
        finally:
            for process in running.values():
                process.terminate()


def work_on_shards(executor: WatchedExecutor, number: int, pipe: Any) -> None:
    """Ask for a shard and do it until there is none, each with blocks as they were at the start."""
    pipeline = executor.pipeline
    pipe.send(None)
    while (rank := pipe.recv()) is not None:
        executor.pipeline = deepcopy(pipeline)
        try:
            executor._run_for_rank(rank, number)
        except UserError as error:
            pipe.send(error)
            return
        except Exception as error:  # an exception may hold what cannot cross to another process
            pipe.send(RuntimeError(f"shard {rank}: {type(error).__name__}: {error}"))
            return
        pipe.send(None)
