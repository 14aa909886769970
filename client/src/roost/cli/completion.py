"""Shell completion: the script that makes the shell ask this command."""

from typing import Annotated, Literal

import typer


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the shell completion script.

    It completes commands, options and the names of runtimes, endpoints, flavors and images.

    source <(roost {} bash)
    roost {} fish > ~/.config/fish/completions/roost.fish
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="roost", complete_var="_ROOST_COMPLETE", shell=shell))
