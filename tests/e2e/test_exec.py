"""Commands run in a runtime, over the API."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from roost import ConflictError, Runtime, ValidationError
from support.installation import TOKEN, Installation, until

from e2e.stories import agent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def box(shared: Installation) -> Iterator[Runtime]:
    """One runtime for all commands."""
    runtime = shared.client.runtimes.create("commands", **agent(env={"COLOUR": "blue"}))
    yield runtime
    runtime.delete()


def test_an_argv_is_passed_as_it_is(box: Runtime) -> None:
    done = box.exec(["printf", "%s|", "a b", "$HOME", "*", ""])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "a b|$HOME|*||", "")
    assert done.duration_ms > 0


def test_a_text_goes_through_a_shell(box: Runtime) -> None:
    assert box.exec("echo $((6 * 7)) | tr -d '\\n'; echo oops >&2; exit 5").exit_code == 5


def test_environment_is_the_runtimes_and_the_calls(box: Runtime) -> None:
    done = box.exec(["env"], env={"SHAPE": "round"})
    assert {"COLOUR=blue", "SHAPE=round", f"ROOST_RUNTIME_ID={box.id}"} <= set(done.stdout.splitlines())


def test_directory_user_and_input_are_the_calls(box: Runtime) -> None:
    done = box.exec(["sh", "-c", "pwd; id -u; id -g; cat"], cwd="/var", user="1000:1001", stdin="grüße\n")
    assert done.stdout.splitlines() == ["/var", "1000", "1001", "grüße"]


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(box: Runtime) -> None:
    script = "sh -c 'exec -a leftover sleep 3600' & setsid sleep 3601 & echo begun; wait"
    done = box.exec(["sh", "-c", script], timeout=5)
    assert (done.exit_code, done.timed_out, done.stdout) == (124, True, "begun\n")
    until(lambda: "360" not in box.exec(["ps", "-eo", "args"]).stdout)


def test_a_command_whose_caller_goes_away_is_ended(box: Runtime, shared: Installation) -> None:
    path = f"{shared.url}/api/v1/org/default/ws/default/runtimes/{box.name}/exec"
    waits_long = {"command": ["sleep", "3603"], "timeout_seconds": 3600}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(path, json=waits_long, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=1, trust_env=False)
    until(lambda: "3603" not in box.exec(["ps", "-eo", "args"]).stdout)


def test_a_command_that_is_not_there_is_127_and_one_that_cannot_run_126(box: Runtime) -> None:
    missing, not_executable = box.exec(["no-such-command"]), box.exec(["/etc/hostname"])
    assert (missing.exit_code, not_executable.exit_code) == (127, 126)
    assert "no-such-command" in missing.stderr
    assert "/etc/hostname" in not_executable.stderr


def test_a_signal_is_128_and_its_number(box: Runtime) -> None:
    assert box.exec(["sh", "-c", "kill -TERM $$"]).exit_code == 143


def test_output_is_cut_at_the_limit_and_says_so(box: Runtime) -> None:
    done = box.exec(["sh", "-c", "head -c 5000 /dev/zero | tr '\\0' x; echo short >&2"], max_output_bytes=1000)
    assert (len(done.stdout), done.stdout_truncated) == (1000, True)
    assert (done.stderr, done.stderr_truncated) == ("short\n", False)


def test_ten_megabytes_come_back_whole(box: Runtime) -> None:
    done = box.exec(["head", "-c", str(10 << 20), "/dev/zero"], max_output_bytes=16 << 20)
    assert (len(done.stdout), done.stdout_truncated) == (10 << 20, False)


def test_commands_at_once_do_not_mix(box: Runtime) -> None:
    with ThreadPoolExecutor(8) as threads:
        said = threads.map(lambda n: box.exec(["sh", "-c", f"echo {n}; cat"], stdin=f"in {n}").stdout, range(24))
        assert list(said) == [f"{n}\nin {n}" for n in range(24)]


def test_a_chosen_replica_runs_it(shared: Installation, deploy: Callable[..., Runtime]) -> None:
    runtime = deploy(**agent(replicas=2))
    for replica in runtime.list_replicas():
        assert runtime.exec(["printenv", "ROOST_REPLICA_ID"], replica=replica.id).stdout.strip() == replica.id


def test_a_stopped_runtime_runs_nothing_and_says_so(deploy: Callable[..., Runtime]) -> None:
    runtime = deploy(**agent())
    runtime.stop()
    with pytest.raises(ConflictError, match="cannot"):
        runtime.exec(["true"])


@pytest.mark.parametrize(
    ("command", "options", "field"),
    [
        ([], {}, "command"),
        ([""], {}, "command"),
        (["true"], {"cwd": "relative"}, "cwd"),
        (["true"], {"timeout": 0}, "timeout_seconds"),
        (["true"], {"max_output_bytes": -1}, "max_output_bytes"),
        (["true"], {"env": {"1A": "x"}}, "env"),
    ],
)
def test_what_cannot_be_run_is_refused_and_the_field_named(
    box: Runtime, command: list[str], options: dict[str, object], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        box.exec(command, **options)
    assert field in [part for error in refused.value.errors for part in error.loc]
