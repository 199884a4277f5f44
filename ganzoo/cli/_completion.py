"""Completion in bash, which splits words at ``:`` and ``=``, two characters in the names of parts.

The script below sends the whole line to ganzoo. ganzoo returns the text after the last split, as bash expects.
Other shells do not split words, and use the scripts of click.
"""

from __future__ import annotations

import os

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

_SCRIPT = """\
%(complete_func)s() {
    local line type value
    COMPREPLY=()
    while IFS= read -r line; do
        type="${line%%%%,*}"
        value="${line#*,}"
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        else
            COMPREPLY+=("$value")
            if [[ $value == *= ]]; then compopt -o nospace; fi
        fi
    done < <(COMP_TYPED="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """The bash completion of click, for words with colons and equals signs."""

    source_template = _SCRIPT
    _word = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Read the line from the environment of the script.

        Returns:
            The whole words before the cursor, and the word at the cursor.
        """
        typed = os.environ["COMP_TYPED"]
        words = split_arg_string(typed)[1:]
        self._word = words.pop() if words and not typed[-1].isspace() else ""
        return words, self._word

    def format_completion(self, item: CompletionItem) -> str:
        """Write an item without the text up to the last split, which bash keeps.

        Args:
            item: a completion of the whole word.

        Returns:
            The type and the text of the item, with a comma between.
        """
        option, equals, _ = self._word.partition("=")
        whole = f"{option}={item.value}" if equals and option.startswith("--") else str(item.value)
        kept = max((self._word.rfind(cut) + 1 for cut in ":=" if cut in os.environ["COMP_BREAKS"]), default=0)
        return f"{item.type},{whole[kept:]}"


add_completion_class(Bash)
