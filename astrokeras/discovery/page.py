"""The page to rate on: one object at a time, keys 0 to 5, and a ranking that learns; made with gradio."""

import dataclasses
import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astrokeras.discovery import drawing
from astrokeras.discovery.features import feature_map
from astrokeras.discovery.images import ObjectImages, picture
from astrokeras.discovery.optional import extra
from astrokeras.discovery.recommender import Recommender

if TYPE_CHECKING:
    from gradio import Blocks

HOST, PORT = "127.0.0.1", 7860
SIZE, SMALL = 640, 96  # pixels of the longer side of what is shown
GALLERY = 24  # images
MAP = 2000  # points
SORTS = {"raw score": "raw", "trained score": "trained", "random": "random"}
PANELS = {"gallery": "gallery", "similar": "similar", "PCA map": "pca", "t-SNE map": "tsne"}
KEYS = "Keys: 0 to 5 rates, ← and → move, u undoes."


@dataclasses.dataclass
class _View:
    """What one visitor looks at: the order, which stays until it is asked for anew, and the panel."""

    by: str = "raw"
    unrated_first: bool = True
    seed: int = 0
    panel: str = "gallery"
    order: np.ndarray | None = None
    rank: np.ndarray | None = None  # place -> position in the order


class _Page:
    """What the page shows and does; every action takes a view and the object that is shown, and returns what to say."""

    def __init__(self, recommender: Recommender, images: ObjectImages):
        self.recommender, self.images = recommender, images
        self.small = functools.lru_cache(4096)(functools.partial(self._address, size=SMALL))
        self.positions = functools.lru_cache(self._positions)
        chosen = np.random.default_rng(0).permutation(len(images))[:MAP]
        self.mapped = np.sort(chosen)

    # Actions: (view, place of the object that is shown, ...) -> (place to show, message)

    def start(self, view: _View, place: int | None) -> tuple[int, str]:
        """Sort by what has been learned so far, and open the first object."""
        if self.recommender.ratings:
            view.by = "trained"
        return self.sort(view, place)[0], KEYS

    def sort(self, view: _View, place: int | None, by: str | None = None, unrated_first: bool | None = None):
        """Sort anew and open the first object."""
        view.by = SORTS.get(by, view.by)
        view.unrated_first = view.unrated_first if unrated_first is None else unrated_first
        if view.by == "random":
            view.seed += 1
        self._sort(view)
        return int(view.order[0]), f"Sorted by {_name(view.by)}."

    def rate(self, view: _View, place: int, rating: int) -> tuple[int, str]:
        """Rate the object and go on to the next one."""
        name = self.recommender.ids[place]
        self.recommender.rate(name, rating)
        return self._beside(view, place, 1), f"{name}: rated {rating}."

    def go(self, view: _View, place: int, step: int) -> tuple[int, str]:
        """Go to the next object, or back."""
        beside = self._beside(view, place, step)
        return beside, "" if beside != place else f"This is the {'last' if step > 0 else 'first'} object of this order."

    def jump(self, view: _View, place: int, target: str) -> tuple[int, str]:
        """Go to the object that was clicked."""
        return (int(target), "") if target.isdigit() and int(target) < len(self.images) else (place, "")

    def retrain(self, view: _View, place: int) -> tuple[int, str]:
        """Learn from the ratings, sort by the trained score, open the first object."""
        self.recommender.retrain()
        view.by = "trained"
        self._sort(view)
        count = self.recommender.progress.rated
        return int(view.order[0]), f"Learned from {count} rating{'s' * (count != 1)}; sorted by the trained score."

    def undo(self, view: _View, place: int) -> tuple[int, str]:
        """Undo the latest rating or deletion; show the object whose rating was undone."""
        undone = self.recommender.undo()
        if undone is None:
            return place, "There is nothing to undo."
        if undone == "":
            self._sort(view)
            return place, f"The deletion is undone: {self.recommender.progress.rated} ratings are back."
        return self.recommender.places.get(undone, place), f"The rating of {undone} is undone."

    def delete(self, view: _View, place: int) -> tuple[int, str]:
        """Delete all ratings."""
        count = self.recommender.delete_ratings()
        self._sort(view)
        return place, f"Deleted {count} rating{'s' * (count != 1)}. Undo brings them back."

    def look(self, view: _View, place: int, panel: str) -> tuple[int, str]:
        """Choose what is shown beside the object."""
        view.panel = PANELS.get(panel, view.panel)
        return place, ""

    # What is shown

    def card(self, place: int) -> tuple[str, str]:
        """Return the object as HTML, and what is wrong with its image."""
        recommender, trouble, address = self.recommender, "", None
        try:
            address = self._address(place, SIZE)
        except (ValueError, OSError) as error:
            trouble = str(error)
        scores = [
            ("raw score", recommender.raw[place], "how unusual, 0 to 5"),
            ("predicted", recommender.predicted[place], "the rating, learned from yours, 0 to 5"),
            ("trained score", recommender.trained[place], "both, as far as the prediction can be trusted"),
        ]
        rating = self._rated().get(place)
        return drawing.object_card(recommender.ids[place], address, trouble, rating, scores), trouble

    def panel(self, view: _View, place: int) -> str:
        """Return what is shown beside the object as HTML."""
        recommender, rated = self.recommender, self._rated()
        show = functools.partial(
            drawing.thumbnails, shown=place, ids=recommender.ids, address=self._small_or_none, rated=rated
        )
        if view.panel == "gallery":
            start = int(view.rank[place]) // GALLERY * GALLERY
            places = view.order[start : start + GALLERY].tolist()
            note = f"{start + 1} to {start + len(places)} of {len(view.order)}, by {_name(view.by)}"
            return show(places, note=note)
        if view.panel == "similar":
            places = [recommender.places[name] for name in recommender.similar(recommender.ids[place], GALLERY - 1)]
            return show([place, *places], note="the most similar objects, nearest first")
        colour = "raw" if view.by == "random" else view.by
        values = recommender.raw if colour == "raw" else recommender.trained
        note = f"{len(self.mapped)} of {len(self.images)} objects by {_name(colour)}:"
        positions = self.positions(view.panel)
        return drawing.map_drawing(positions, self.mapped, values[self.mapped], place, set(rated), note)

    def _positions(self, method: str) -> np.ndarray:
        return feature_map(self.recommender.features[self.mapped], method)

    def _address(self, place: int, size: int) -> str:
        return drawing.data_address(picture(self.images[place], size))

    def _small_or_none(self, place: int) -> str | None:
        try:
            return self.small(place)
        except (ValueError, OSError):
            return None

    def _rated(self) -> dict[int, int]:
        return {self.recommender.places[name]: rating.value for name, rating in self.recommender.ratings.items()}

    def _sort(self, view: _View) -> None:
        view.order = self.recommender.order(view.by, unrated_first=view.unrated_first, seed=view.seed)
        view.rank = np.argsort(view.order)

    def _beside(self, view: _View, place: int, step: int) -> int:
        return int(view.order[np.clip(view.rank[place] + step, 0, len(view.order) - 1)])


def rating_page(recommender: Recommender, images: ObjectImages) -> "Blocks":
    """Make the page; `serve` shows it.

    Args:
        recommender: of the objects.
        images: of the same objects, in the same order.

    Returns:
        The gradio application.

    Raises:
        ValueError: if recommender and images are not of the same objects.
        ImportError: if gradio is missing.

    Example:
        >>> import numpy as np
        >>> from astrokeras import discovery
        >>> images = discovery.ObjectImages(np.eye(8).reshape(4, 4, 4))
        >>> recommender = discovery.Recommender("wxyz", np.eye(4), "other.sqlite")
        >>> discovery.rating_page(recommender, images)
        Traceback (most recent call last):
        ValueError: Expected a recommender of the images' ids; received one of others, such as w, not 0.
    """
    for ours, theirs in zip(recommender.ids, images.ids, strict=False):
        if ours != theirs:
            raise ValueError(
                f"Expected a recommender of the images' ids; received one of others, such as {ours}, not {theirs}."
            )
    if len(recommender.ids) != len(images):
        raise ValueError(f"Expected a recommender of {len(images)} images; received one of {len(recommender.ids)}.")
    with extra("web"):
        import gradio

    page, plain = _Page(recommender, images), {"show_label": False, "container": False}
    with gradio.Blocks(title=f"{images.name}: rate", analytics_enabled=False, fill_width=True) as blocks:
        view = gradio.State(None)
        with gradio.Row(elem_id="hidden"):  # what the browser and this program tell each other
            shown, target, table = (gradio.Textbox(elem_id=name) for name in ("shown", "target", "table"))
            jump = gradio.Button(elem_id="jump")
        progress = gradio.HTML(elem_id="progress")
        with gradio.Row(elem_id="columns"):
            with gradio.Column(scale=5, min_width=360):
                card = gradio.HTML(elem_id="card")
                with gradio.Row(elem_id="ratings"):
                    buttons = [gradio.Button(str(i), elem_id=f"rate-{i}", min_width=40) for i in range(6)]
                gradio.HTML('<div class="ends"><span>boring</span><span>exciting</span></div>')
                with gradio.Row():
                    back = gradio.Button("← Previous", elem_id="previous", min_width=80)
                    undo = gradio.Button("Undo", elem_id="undo", min_width=80)
                    ahead = gradio.Button("Next →", elem_id="next", min_width=80)
                message = gradio.HTML(elem_id="message")
            with gradio.Column(scale=6, min_width=360):
                with gradio.Row(elem_id="sorting"):
                    by = gradio.Radio(list(SORTS), value="raw score", elem_id="by", scale=4, **plain)
                    first = gradio.Checkbox(True, label="unrated first", elem_id="first", scale=1, min_width=130)
                with gradio.Row(elem_id="choosing"):
                    choice = gradio.Radio(list(PANELS), value="gallery", elem_id="choice", scale=4, **plain)
                    retrain = gradio.Button("Retrain", variant="primary", elem_id="retrain", scale=1, min_width=110)
                panel = gradio.HTML(elem_id="panel")
                with gradio.Row():
                    export = gradio.Button("Export CSV", elem_id="export", size="sm", min_width=100)
                    delete = gradio.Button("Delete all ratings", elem_id="delete", size="sm", min_width=100)
                with gradio.Row(visible=False, elem_id="confirmation") as confirmation:
                    gradio.HTML("<p>Delete all ratings? Undo can bring them back.</p>", scale=3)
                    sure = gradio.Button("Delete", variant="stop", elem_id="sure", size="sm", min_width=80)
                    keep = gradio.Button("Keep", elem_id="keep", size="sm", min_width=80)

        outputs = [view, shown, card, message, panel, progress, by]
        settings = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
        settings |= {"concurrency_id": "page", "concurrency_limit": 1}  # a slow answer never undoes a later click

        def on(event: Callable, action: Callable, *inputs) -> None:
            event(functools.partial(_step, page, action), [view, shown, *inputs], **settings)

        on(blocks.load, page.start)
        for rating, button in enumerate(buttons):
            on(button.click, functools.partial(page.rate, rating=rating))
        on(back.click, functools.partial(page.go, step=-1))
        on(ahead.click, functools.partial(page.go, step=1))
        on(undo.click, page.undo)
        on(by.input, page.sort, by, first)
        on(first.input, page.sort, by, first)
        on(retrain.click, page.retrain)
        on(choice.input, page.look, choice)
        on(functools.partial(jump.click, js="(view, shown, target) => [view, shown, chosen]"), page.jump, target)
        on(sure.click, page.delete)
        show = {"outputs": confirmation, "show_progress": "hidden", "api_visibility": "private"}
        delete.click(lambda: gradio.Row(visible=True), **show)
        for button in (sure, keep):
            button.click(lambda: gradio.Row(visible=False), **show)
        export.click(recommender.csv, outputs=table, show_progress="hidden", api_visibility="private").then(
            None, table, js=f"text => save(text, {Path(images.name).stem + '.csv'!r})"
        )
    return blocks


def serve(
    recommender: Recommender, images: ObjectImages, *, host: str = HOST, port: int = PORT, block: bool = True
) -> "Blocks":
    """Show the page to this machine's browsers until Ctrl-C.

    Args:
        recommender: of the objects.
        images: of the same objects, in the same order.
        host: address to serve on; only `127.0.0.1` keeps other machines out.
        port: to serve on.
        block: wait for Ctrl-C; `False` returns at once.

    Returns:
        The running gradio application, to `close()`, where `block` is false.

    Raises:
        ValueError: if recommender and images are not of the same objects.
        OSError: if the port is in use.
        ImportError: if gradio is missing.

    Example:
        >>> import inspect
        >>> from astrokeras import discovery
        >>> inspect.signature(discovery.serve).parameters["host"].default
        '127.0.0.1'
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise OSError(
                f"Expected a free port; {host}:{port} cannot be served on ({error.strerror}): choose another --port."
            ) from error
    blocks = rating_page(recommender, images)
    print(f"rate on http://{host}:{port} (Ctrl-C stops; each rating is kept at once)", flush=True)
    files = Path(__file__).parent
    blocks.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=not block,
        quiet=True,
        share=False,
        ssr_mode=False,
        allowed_paths=[],
        footer_links=[],
        max_file_size=0,
        css=(files / "page.css").read_text(),
        head=f"<script>{(files / 'page.js').read_text()}</script>",
        theme=_theme(),
    )
    return blocks


def _step(page: _Page, action: Callable, view: _View | None, shown: str, *values) -> tuple:
    """Do something and return everything that the page shows; an error becomes its message."""
    import gradio

    place, wrong = int(shown) if shown and shown.isdigit() else None, False
    if view is None:
        view = _View()
    if view.order is None:
        page._sort(view)
    try:
        place, message = action(view, place, *values)
    except (ValueError, OSError) as error:
        message, wrong = str(error), True
    place = int(view.order[0]) if place is None else place
    try:
        card, trouble = page.card(place)
        progress = drawing.progress_bar(page.images.name, page.recommender.progress)
        panel = page.panel(view, place)
    except (ValueError, OSError, ImportError) as error:
        card, panel, progress, message, wrong = gradio.skip(), gradio.skip(), gradio.skip(), str(error), True
    else:
        message, wrong = (message, wrong) if not trouble else (trouble, True)
    sort = next(name for name, by in SORTS.items() if by == view.by)
    return view, str(place), card, drawing.message_line(message, wrong), panel, progress, sort


def _name(by: str) -> str:
    return {"raw": "raw score", "trained": "trained score", "random": "chance"}[by]


def _theme():
    import gradio

    fonts = ["system-ui", "sans-serif"]
    return gradio.themes.Base(primary_hue="blue", neutral_hue="slate", font=fonts, font_mono=["monospace"])
