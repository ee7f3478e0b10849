"""Worker processes for datatrove's local executor that notice when one of them dies.

datatrove hands shards to a process pool; when a worker is killed there, by the kernel for want of memory or by a crash in
native code, its shard is never reported and the pool waits forever. Here a dead worker is seen at once, its shard is done
again alone, and if that worker dies too the stage ends with a sentence. In: a pipeline. Out: completion markers.
"""

from copy import deepcopy
from queue import Empty
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor

from crawl2chat.errors import UserError


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
                    f"A worker was killed twice (exit code {deaths[0]}) in shard {self.get_incomplete_ranks()[0]}, most "
                    "likely for want of memory: lower execution.workers or raise execution.tasks in params.yaml; finished "
                    "shards are kept for the next run."
                )

    def _run(self, ranks: list[int], workers: int) -> list[int]:
        """Do the shards; the exit codes of workers that died."""
        import multiprocess
        from multiprocess.connection import wait

        context = multiprocess.get_context(self.start_method)
        with context.Manager() as manager:
            shards, failures = manager.Queue(), manager.Queue()
            for rank in ranks:
                shards.put(rank)
            running = [
                context.Process(target=_work, args=(self, number, shards, failures), daemon=True)
                for number in range(workers)
            ]
            for process in running:
                process.start()
            try:
                dead = []
                while running:
                    wait([process.sentinel for process in running])
                    if not failures.empty():
                        raise failures.get()
                    ended = [process for process in running if not process.is_alive()]
                    running = [process for process in running if process.is_alive()]
                    dead += [process.exitcode for process in ended if process.exitcode]
                return dead
            finally:
                for process in running:
                    process.terminate()


def _work(executor: WatchedExecutor, number: int, shards: Any, failures: Any) -> None:
    """Do shards until none is left, each with blocks as they were at the start."""
    pipeline = executor.pipeline
    while True:
        try:
            rank = shards.get_nowait()
        except Empty:
            return
        executor.pipeline = deepcopy(pipeline)
        try:
            executor._run_for_rank(rank, number)
        except UserError as error:
            failures.put(error)
            return
        except Exception as error:  # an exception may hold what cannot cross to another process
            failures.put(RuntimeError(f"shard {rank}: {type(error).__name__}: {error}"))
            return
