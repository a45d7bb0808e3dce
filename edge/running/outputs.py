"""Where the answers of one run go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..classifier import Classifier
from ..console import say
from ..outputs.output import Output
from .settings import OutputSettings

if TYPE_CHECKING:
    from ..outputs.window import Window
    from ..outputs.writer import Writer

Callback = Callable[[], None]


class Outputs:
    """All outputs of a run.

    `reporting` ones get the results that are to be reported, `watching` ones every result: tables, windows
    and collected pictures. `refreshers` are to be called at least once a second, also while no frame comes.
    """

    def __init__(self, settings: OutputSettings, stack: ExitStack) -> None:
        """Open none yet; `stack` will close those that are opened."""
        self.reporting: list[Output] = []
        self.watching: list[Output] = []
        self.refreshers: list[Callback] = []
        self._settings = settings
        self._stack = stack
        self._window: Window | None = None

    def open(self, classifiers: Sequence[Classifier], top: int, live: bool) -> None:
        """Open the outputs that were asked for, the cheapest to refuse first.

        Raises OutputExistsError, OptionError for a file that cannot be written, for a broken address and
        where no window can be opened, and MissingPackageError.
        """
        settings = self._settings
        self._open_lines(top, live)
        if settings.save_annotated is not None:
            from ..outputs.annotated import Annotated

            annotated = Annotated(settings.save_annotated, settings.force)
            self._add(annotated)
            self.refreshers.append(annotated.refresh)
        if settings.collect is not None and settings.collect_rules is not None:
            from ..collect.collector import Collector

            collector = Collector(settings.collect, settings.collect_rules, classifiers, say)
            self._add(collector, watching=True)
            self.refreshers.append(collector.refresh)
        self._open_network(classifiers, wait=not live)
        if settings.show:
            self._open_window(live)

    @property
    def failed(self) -> bool:
        """Whether anything was lost on its way to an output; known after they were closed."""
        return any(output.failed for output in (*self.reporting, *self.watching))

    def _add(self, output: Output, watching: bool = False) -> None:
        (self.watching if watching else self.reporting).append(output)
        self._stack.callback(output.close)

    def _add_before(self, output: Output) -> None:
        """Add an output that queues before the others: a signal may end the run while a line is printed."""
        self.reporting.insert(0, output)
        self._stack.callback(output.close)

    def _open_lines(self, top: int, live: bool) -> None:
        settings = self._settings
        if settings.format == "json":
            from ..outputs.json_lines import JsonLines

            self._add_lines(JsonLines)
            return
        if settings.format == "csv":
            from ..outputs.csv_lines import CsvLines

            self._add_lines(lambda writer: CsvLines(writer, top))
            return
        if live and settings.output is None:
            from ..outputs.live_table import LiveTable, can_redraw

            if can_redraw():
                table = LiveTable()
                self._add(table, watching=True)
                self.refreshers.append(table.refresh)
                return
        from ..outputs.text_lines import TextLines

        self._add_lines(TextLines)

    def _add_lines(self, make: Callable[[Writer], Output]) -> None:
        """Open what lines are written to; before it is closed it is told how the run has ended."""
        from ..outputs.writer import open_writer

        writer = open_writer(self._settings.output, self._settings.force)
        self._add(make(writer))
        self._stack.push(writer.note_ending)
        self.refreshers.append(writer.refresh)

    def _open_network(self, classifiers: Sequence[Classifier], wait: bool) -> None:
        for url in self._settings.webhooks:
            from ..outputs.webhook import Webhook

            self._add_before(Webhook(url, say, wait=wait))
        if self._settings.publish is not None:
            from ..outputs.mqtt import Mqtt

            self._add_before(Mqtt(self._settings.publish, classifiers, say, wait=wait))

    def _open_window(self, live: bool) -> None:
        from ..outputs.window import Window

        window = Window()
        self._add(window, watching=True)
        self.refreshers.append(window.refresh)
        self._window = None if live else window

    def linger(self) -> None:
        """Call when the source has ended: a file's picture stays in its window until a key is pressed."""
        if self._window is not None:
            self._window.wait_for_key()
