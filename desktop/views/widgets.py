"""The few small widgets that pages share. Remote text is plain text in all of them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final, TypeVar, final

from PySide6.QtCore import (
    QByteArray,
    QEvent,
    QItemSelectionModel,
    QPointF,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QIcon,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPixmap,
    QPixmapCache,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop import formatting
from desktop.models.overview import Mood
from desktop.models.table import TableModel
from desktop.theme import Colours, colours, figures, heading
from desktop.views.discreet import Discreet

T = TypeVar("T")

SPACE: Final = 8
"""Distances are multiples of this: 4 within a group, 8 between things, 16 between groups."""
MARGIN: Final = 16
ROW_HEIGHT: Final = 28
STRETCH_WIDTH_MIN: Final = 90
NOTHING_MATCHES: Final = "Nothing matches the filter."
ICON_SIZE: Final = 20


class Tone(enum.Enum):
    """What a colour says; the shape beside it says the same to who cannot see the colour."""

    OK = "●"
    WARN = "▲"
    BAD = "✖"
    PAUSED = "⏸"
    PLAIN = "○"

    def colour(self, look: Colours) -> str:
        """Return the text colour of this tone."""
        return {
            Tone.OK: look.ok,
            Tone.WARN: look.warn,
            Tone.BAD: look.bad,
            Tone.PAUSED: look.paused,
            Tone.PLAIN: look.muted,
        }[self]

    def ground(self, look: Colours) -> str:
        """Return the ground that text of this tone stands on."""
        return {
            Tone.OK: look.ok_soft,
            Tone.WARN: look.warn_soft,
            Tone.BAD: look.bad_soft,
            Tone.PAUSED: look.raised,
            Tone.PLAIN: look.raised,
        }[self]


def tone_of(mood: Mood) -> Tone:
    """Return how a mood looks."""
    return Tone[mood.name]


def draw_shape(painter: QPainter, tone: Tone, box: QRectF, colour: str) -> None:
    """Draw a tone's shape: disc, triangle, cross, two bars or ring; the same on every font."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    if tone is Tone.OK:
        painter.drawEllipse(box)
    elif tone is Tone.WARN:
        painter.drawPolygon(
            QPolygonF(
                [QPointF(box.center().x(), box.top()), box.bottomRight(), box.bottomLeft()]
            )
        )
    elif tone is Tone.PAUSED:
        bar = box.width() * 0.34
        painter.drawRect(QRectF(box.left(), box.top(), bar, box.height()))
        painter.drawRect(QRectF(box.right() - bar, box.top(), bar, box.height()))
    else:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(colour), 2))
        inner = box.adjusted(1, 1, -1, -1)
        if tone is Tone.BAD:
            painter.drawLine(inner.topLeft(), inner.bottomRight())
            painter.drawLine(inner.topRight(), inner.bottomLeft())
        else:
            painter.drawEllipse(inner)
    painter.restore()


# --- Icons


def icon(name: str, palette: QPalette, *, size: int = ICON_SIZE) -> QIcon:
    """Return an icon of resources/icons in the palette's colours: muted, and the accent where it is on."""
    look = colours(palette)
    result = QIcon()
    for colour, state in ((look.muted, QIcon.State.Off), (look.accent, QIcon.State.On)):
        result.addPixmap(pixmap(name, colour, size=size), QIcon.Mode.Normal, state)
    return result


def pixmap(name: str, colour: str, *, size: int = ICON_SIZE, ratio: float = 2.0) -> QPixmap:
    """Return an icon of resources/icons, drawn in one colour; Qt keeps what was drawn once."""
    key = f"{name} {colour} {size} {ratio}"
    image = QPixmap()
    if QPixmapCache.find(key, image):
        return image
    source = files("resources").joinpath("icons", f"{name}.svg").read_bytes()
    renderer = QSvgRenderer(QByteArray(source.replace(b"currentColor", colour.encode())))
    image = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    image.setDevicePixelRatio(ratio)
    QPixmapCache.insert(key, image)
    return image


# --- Text


class TextLabel(Discreet, QLabel):
    """Text as it is: no markup is ever read into it, and it can be selected and copied.

    Amounts in it are hidden while amounts are; it keeps the room of what it was told, so that nothing
    moves then.

    It takes its colour from the palette anew whenever that changes; `role` says which: `text`,
    `muted`, or a Tone's name in small letters.
    """

    def __init__(
        self, text: str = "", *, role: str = "text", wrap: bool = False, elide: bool = False
    ) -> None:
        super().__init__()
        self._role = role
        self._elide = elide
        self._whole = text
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if elide:
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setText(text)
        self._paint_role()

    def set_role(self, role: str) -> None:
        """Show the text in another colour."""
        if role != self._role:
            self._role = role
            self._paint_role()

    def _paint_role(self) -> None:
        look = colours(_application_palette(self))
        tone = Tone.__members__.get(self._role.upper())
        colour = tone.colour(look) if tone else str(getattr(look, self._role))
        palette = self.palette()
        if palette.color(QPalette.ColorRole.WindowText) != QColor(colour):
            palette.setColor(QPalette.ColorRole.WindowText, QColor(colour))
            self.setPalette(palette)

    def as_seen(self, text: str) -> str:
        """Return text as it may be seen now."""
        return formatting.shown(text)

    def tell_again(self) -> None:
        super().tell_again()
        self._show_text()

    def _show_text(self) -> None:
        seen = self._elided() if self._elide else self.as_seen(self._whole)
        if seen != self.text():
            super().setText(seen)

    def _room(self, measure: Callable[[QLabel], T], otherwise: Callable[[], T]) -> T:
        """Return a measure of what this label was told, where it shows something else."""
        if not formatting.amounts_hidden() or self._elide or self.text() == self._whole:
            return otherwise()
        label = QLabel()
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(self.font())
        label.setWordWrap(self.wordWrap())
        label.setContentsMargins(self.contentsMargins())
        label.setText(self._whole)
        return measure(label)

    def _elided(self) -> str:
        return self.fontMetrics().elidedText(
            self.as_seen(self._whole), Qt.TextElideMode.ElideRight, max(0, self.width())
        )

    # --- What Qt calls

    def setText(self, text: str) -> None:
        self._whole = text
        if self._elide:
            self.setToolTip(formatting.tooltip(text))
        self._show_text()

    def sizeHint(self) -> QSize:
        return self._room(QLabel.sizeHint, super().sizeHint)

    def minimumSizeHint(self) -> QSize:
        return self._room(QLabel.minimumSizeHint, super().minimumSizeHint)

    def heightForWidth(self, width: int) -> int:
        otherwise = super().heightForWidth
        return self._room(lambda label: label.heightForWidth(width), lambda: otherwise(width))

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if self._elide:
            super().setText(self._elided())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._paint_role()


class AmountLabel(TextLabel):
    """An amount: digits equally wide, at the right."""

    def __init__(self, text: str = "", *, role: str = "text") -> None:
        super().__init__(text, role=role)
        self.setFont(figures(self.font()))
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def as_seen(self, text: str) -> str:
        return formatting.shown_number(super().as_seen(text))


class Heading(TextLabel):
    """The title of a page or a card."""

    def __init__(self, text: str, *, steps: int = 1) -> None:
        super().__init__(text)
        self.setFont(heading(self.font(), steps=steps))


@final
class Pill(Discreet, QWidget):
    """A shape, a colour and a word: how something is. Clicked, it leads to where that can be mended."""

    clicked = Signal()

    def __init__(
        self, text: str = "", tone: Tone = Tone.PLAIN, *, clickable: bool = False
    ) -> None:
        super().__init__()
        self._text = text
        self._tone = tone
        self._clickable = clickable
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        if clickable:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.set(text, tone)

    @property
    def text(self) -> str:
        return self._text

    @property
    def tone(self) -> Tone:
        return self._tone

    def set(self, text: str, tone: Tone, tooltip: str = "") -> None:
        """Show another state; the tooltip gives the reason."""
        self.setToolTip(formatting.tooltip(tooltip or text))
        self.setAccessibleName(text)
        self.setAccessibleDescription(tooltip)
        if (text, tone) != (self._text, self._tone):
            self._text, self._tone = text, tone
            self.updateGeometry()
            self.update()

    # --- What Qt calls

    def sizeHint(self) -> QSize:
        width = QFontMetricsF(self.font()).horizontalAdvance(self._text)
        return QSize(round(width) + 34, self.fontMetrics().height() + 8)

    def paintEvent(self, _event: QPaintEvent) -> None:
        look = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        quiet = self._tone in (Tone.OK, Tone.PLAIN, Tone.PAUSED)
        painter.setBrush(QColor(look.base if quiet else self._tone.ground(look)))
        edge = (
            look.accent
            if self.hasFocus()
            else look.border
            if quiet
            else self._tone.colour(look)
        )
        painter.setPen(QPen(QColor(edge), 1))
        painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
        size = 9.0
        shape = QRectF(10, box.center().y() - size / 2, size, size)
        draw_shape(painter, self._tone, shape, self._tone.colour(look))
        painter.setPen(QColor(look.text if quiet else self._tone.colour(look)))
        painter.drawText(
            box.adjusted(25, 0, -6, 0),
            Qt.AlignmentFlag.AlignVCenter,
            formatting.shown(self._text),
        )

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._clickable and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._clickable and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)


# --- Grounds


class Card(QFrame):
    """A group with a title on a ground of its own; the stylesheet draws it."""

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.setObjectName("card")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(MARGIN, 12, MARGIN, 12)
        self.body.setSpacing(SPACE)
        self.head = QHBoxLayout()
        self.head.setSpacing(SPACE)
        if title:
            self.title = TextLabel(title)
            self.title.setFont(heading(self.title.font(), steps=0))
            self.head.addWidget(self.title)
            self.head.addStretch()
            self.body.addLayout(self.head)


class EmptyState(QWidget):
    """What stands where there is nothing yet: why, and what to do about it."""

    def __init__(self, icon_name: str, title: str, text: str) -> None:
        super().__init__()
        self._icon_name = icon_name
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = Heading(title, steps=3)
        self._title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text = TextLabel(text, role="muted", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text.setFixedWidth(460)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(SPACE)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addStretch(2)
        layout.addWidget(self._picture)
        layout.addWidget(self._title)
        words = QHBoxLayout()
        words.addStretch()
        words.addWidget(self._text)
        words.addStretch()
        layout.addLayout(words)
        layout.addSpacing(SPACE)
        row = QHBoxLayout()
        row.addStretch()
        row.addLayout(self.buttons)
        row.addStretch()
        layout.addLayout(row)
        layout.addStretch(3)
        self._draw()

    def add_button(self, text: str, *, primary: bool = False) -> QPushButton:
        """Add a way out."""
        button = action_button(text, primary=primary)
        self.buttons.addWidget(button)
        return button

    def say(self, title: str, text: str) -> None:
        """Change the words."""
        self._title.setText(title)
        self._text.setText(text)

    def _draw(self) -> None:
        look = colours(_application_palette(self))
        self._picture.setPixmap(pixmap(self._icon_name, look.muted, size=56))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


@final
class ActionButton(Discreet, QPushButton):
    """A button with words; an amount among them is hidden while amounts are, and keeps its room."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._whole = ""
        self.setText(text)

    def setText(self, text: str) -> None:
        self._whole = text
        super().setText(formatting.shown(text))

    def tell_again(self) -> None:
        super().tell_again()
        super().setText(formatting.shown(self._whole))

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        if self.text() != self._whole:
            metrics = self.fontMetrics()
            more = metrics.horizontalAdvance(self._whole) - metrics.horizontalAdvance(
                self.text()
            )
            hint.setWidth(hint.width() + max(0, more))
        return hint


def action_button(text: str, *, primary: bool = False, danger: bool = False) -> QPushButton:
    """Return a button; the primary one of a group is filled, one that destroys is red."""
    button = ActionButton(text)
    if primary or danger:
        button.setProperty("kind", "danger" if danger else "primary")
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button


def dialog_column(dialog: QWidget, title: Heading) -> QVBoxLayout:
    """Return the column in which a dialog's parts stand, its title first."""
    column = QVBoxLayout(dialog)
    column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    column.setSpacing(SPACE)
    column.addWidget(title)
    return column


def button_row(*buttons: QPushButton) -> QHBoxLayout:
    """Return the row at a dialog's foot; Enter in a field presses none of them by itself."""
    row = QHBoxLayout()
    row.addStretch()
    for button in buttons:
        button.setAutoDefault(False)
        row.addWidget(button)
    return row


def waiting_bar(name: str) -> QProgressBar:
    """Return a bar that moves while something is waited for whose end nobody knows."""
    bar = QProgressBar()
    bar.setRange(0, 0)
    bar.setTextVisible(False)
    bar.setAccessibleName(name)
    return bar


def grow_to_fit(window: QWidget) -> None:
    """Make a window high enough for what its layout shows now; it never shrinks under the pointer."""
    layout = window.layout()
    if layout is not None:
        layout.activate()
        # The hint is of lines that are broken much earlier than at this width.
        needed = (
            layout.totalHeightForWidth(window.width())
            if layout.hasHeightForWidth()
            else window.sizeHint().height()
        )
        window.resize(window.width(), max(window.height(), needed))


def icon_button(icon_name: str, tooltip: str) -> QToolButton:
    """Return a small button with an icon, which says what it does to a screen reader too."""
    button = IconButton(icon_name)
    button.setToolTip(formatting.tooltip(tooltip))
    button.setAccessibleName(tooltip)
    return button


class IconButton(Discreet, QToolButton):
    """A small button with an icon, which it draws anew in another theme."""

    def __init__(self, icon_name: str) -> None:
        super().__init__()
        self._icon_name = icon_name
        self.setAutoRaise(True)
        self.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        self._draw()

    def set_icon(self, icon_name: str) -> None:
        """Have another icon."""
        self._icon_name = icon_name
        self._draw()

    def _draw(self) -> None:
        self.setIcon(icon(self._icon_name, _application_palette(self)))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()


@final
class Sparkline(QWidget):
    """The last minutes of a number, without axes: whether it rises or falls."""

    def __init__(self, *, width: int = 72) -> None:
        super().__init__()
        self._values: Sequence[float] = ()
        self.setFixedSize(width, 22)

    def show_values(self, values: Sequence[float]) -> None:
        """Draw these, oldest first."""
        self._values = tuple(values)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        draw_sparkline(
            painter, QRectF(self.rect()).adjusted(1, 3, -1, -3), self._values,
            colours(self.palette()).accent,
        )  # fmt: skip


def draw_sparkline(
    painter: QPainter, box: QRectF, values: Sequence[float], colour: str
) -> None:
    """Draw a line through the values, oldest first, scaled to the box; for widgets and delegates."""
    if len(values) < 2:
        return
    low, high = min(values), max(values)
    span = (high - low) or 1
    step = box.width() / (len(values) - 1)
    line = QPolygonF(
        [
            QPointF(
                box.left() + i * step,
                box.bottom() - float((value - low) / span) * box.height()
                if high != low
                else box.center().y(),
            )
            for i, value in enumerate(values)
        ]
    )
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colour), 1))
    painter.drawPolyline(line)
    painter.restore()


def type_into(line: QLineEdit) -> None:
    """Put the cursor into a line: what is typed takes the place of what is there."""
    line.setFocus()
    line.selectAll()


# --- Tables


@final
class FilterLine(QLineEdit):
    """Where a table is filtered: says so a moment after the last key; Esc clears it."""

    filtered = Signal(str)

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(placeholder)
        self.setClearButtonEnabled(True)
        self.setObjectName("filter")
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(120)
        self._pause.timeout.connect(self._say)
        self.textChanged.connect(self._wait)
        self.returnPressed.connect(self._say)

    def set_problem(self, problem: str) -> None:
        """Mark what was typed as not understood, and say why; empty where it is."""
        self.setProperty("problem", bool(problem))
        self.setToolTip(formatting.tooltip(problem))
        self.setAccessibleDescription(problem)
        self.style().unpolish(self)
        self.style().polish(self)

    def _wait(self) -> None:
        self._pause.start()

    def _say(self) -> None:
        self._pause.stop()
        self.filtered.emit(self.text().strip())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
                self._say()
            else:
                self.clearFocus()
        else:
            super().keyPressEvent(event)


class TableView(Discreet, QTableView):
    """A table: whole rows, fixed heights, no grid, widths that the operator may change.

    `opened` tells of a double click or Enter on a row, `chosen` of a selection; both carry the row,
    or None where nothing is selected any more.
    """

    opened = Signal(object)
    chosen = Signal(object)

    def __init__(self, model: TableModel[Any], *, row_height: int = ROW_HEIGHT) -> None:
        super().__init__()
        self.table_model = model
        self._widths: dict[int, int] = {}
        """Of the columns that are left out, as they were."""
        self.setModel(model)
        self.setFont(figures(self.font()))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setAlternatingRowColors(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(row_height)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self._set_up_header()
        self.activated.connect(lambda index: self.opened.emit(model.row(index.row())))
        self.selectionModel().selectionChanged.connect(self._choose)
        model.modelReset.connect(self._choose)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.table_model.total and not self.table_model.shown:
            painter = QPainter(self.viewport())
            painter.setPen(QColor(colours(_application_palette(self)).muted))
            place = self.viewport().rect().adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
            painter.drawText(
                place,
                Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop,
                NOTHING_MATCHES,
            )
            painter.end()

    def _set_up_header(self) -> None:
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setMinimumSectionSize(40)
        header.setFixedHeight(30)
        for i, column in enumerate(self.table_model.columns):
            header.resizeSection(i, column.width)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        self.setSortingEnabled(True)

    @property
    def selected_rows(self) -> list[Any]:
        """The rows that are selected, from the top."""
        places = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self.table_model.row(place) for place in places]

    def select_key(self, key: object) -> bool:
        """Select the row with this key and scroll to it; False where it is not shown."""
        place = self.table_model.place_of(key)
        if place is None:
            return False
        index = self.table_model.index(place, 0)
        # Not by `selectRow`, which adds to the selection while somebody holds the Ctrl key.
        self.selectionModel().setCurrentIndex(
            index,
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows,
        )
        self.scrollTo(index)
        return True

    def tell_again(self) -> None:
        super().tell_again()
        self.viewport().update()

    def _choose(self) -> None:
        rows = self.selected_rows
        self.chosen.emit(rows[0] if rows else None)

    def fit_columns(self) -> None:
        """Leave out what is least worth where not all columns have room: nobody scrolls sideways to read a row."""
        header, columns = self.horizontalHeader(), self.table_model.columns
        room = self.viewport().width()
        shown: set[int] = set()
        for place in sorted(range(len(columns)), key=lambda i: (columns[i].gives_way, i)):
            column = columns[place]
            wanted = column.width if column.stretch else self._width_of(place)
            if column.gives_way and wanted > room:
                # Rather narrow than a gap beside the others.
                if column.stretch and room >= STRETCH_WIDTH_MIN:
                    shown.add(place)
                break
            room -= wanted
            shown.add(place)
        # In this order: Qt goes on counting a column that is hidden while it stretches.
        self._stretch(shown)
        for place in range(len(columns)):
            header.setSectionHidden(place, place not in shown)
        self.updateGeometries()  # the range of the scroll bar was that of all columns

    def _stretch(self, shown: set[int]) -> None:
        """Give the room that is left to the last column that takes it."""
        header, columns = self.horizontalHeader(), self.table_model.columns
        takers = [place for place in shown if columns[place].stretch]
        taker = max(takers, key=lambda place: columns[place].gives_way, default=None)
        for place in range(len(columns)):
            mode = (
                QHeaderView.ResizeMode.Stretch
                if place == taker
                else QHeaderView.ResizeMode.Interactive
            )
            if header.sectionResizeMode(place) != mode:
                header.setSectionResizeMode(place, mode)
                if mode == QHeaderView.ResizeMode.Interactive:
                    header.resizeSection(place, columns[place].width)

    def _width_of(self, place: int) -> int:
        header = self.horizontalHeader()
        if header.isSectionHidden(place):
            return self._widths.get(place, self.table_model.columns[place].width)
        self._widths[place] = header.sectionSize(place)
        return self._widths[place]

    # --- What Qt calls

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit_columns()

    def enterEvent(self, event: Any) -> None:
        super().enterEvent(event)
        self.table_model.hold_order = True

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.table_model.hold_order = False


# --- Within


def _application_palette(widget: QWidget) -> QPalette:
    """Return the palette in force, not one that a widget has changed for itself."""
    return QApplication.palette(widget)
