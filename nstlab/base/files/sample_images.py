"""The table of the package's sample pictures; their files are in `data/images`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

IMAGES = Path(__file__).parents[2] / "data" / "images"


@dataclass(frozen=True)
class Sample:
    """A bundled picture with its title, author and licence.

    kind: its intended use, "content", "style", or "photo" for the pairs of approach 2 (day and night, summer and
    autumn). source: the package that it was taken from; `data/images/SOURCES.md` has the details.
    """

    name: str
    kind: Literal["content", "style", "photo"]
    title: str
    author: str
    licence: str
    source: str

    @property
    def path(self) -> Path:
        """The path of the JPEG file."""
        return IMAGES / self.kind / f"{self.name}.jpg"

    def __str__(self) -> str:
        return f"{self.name:<18}{self.kind:<9}{self.title}, by {self.author}. {self.licence}"


CC0 = "CC0-1.0"
GCOMPRIS = "Debian gcompris-qt-data 3.1-2"
OPENCV = "Debian opencv-doc 4.6.0+dfsg-12"
PALAPELI = "Debian palapeli-data 4:22.12.3-1"

# fmt: off
SAMPLES = (
    Sample("chenonceau_river", "content", "Château de Chenonceau over the river Cher",
           "Alf van Beem", "Public domain", GCOMPRIS),
    Sample("neuschwanstein", "content", "Neuschwanstein Castle", "cameralends", CC0, GCOMPRIS),
    Sample("mont_saint_michel", "content", "Mont Saint-Michel (wide sky)", "Ali Sabbagh", CC0, GCOMPRIS),
    Sample("horses", "content", "Nokota horse stud band (meadow, blue sky)", "Seth Zeigler", CC0, GCOMPRIS),
    Sample("red_panda", "content", "Red panda", "Mathias Appel", CC0, GCOMPRIS),
    Sample("astronaut", "content", "Astronaut Eileen Collins (portrait)",
           "NASA", "Public domain (NASA)", "PyPI scikit-image 0.26.0"),
    Sample("starry_night", "style", "The Starry Night, 1889",
           "Vincent van Gogh (1853-1890)", "Public domain (painter died 1890)", OPENCV),
    Sample("night_cafe", "style", "The Night Café, 1888",
           "Vincent van Gogh (1853-1890)", "Public domain (painter died 1890)", GCOMPRIS),
    Sample("church_at_auvers", "style", "The Church at Auvers-sur-Oise, 1890",
           "Vincent van Gogh (1853-1890)", "Public domain (painter died 1890)", GCOMPRIS),
    Sample("great_wave", "style", "The Great Wave off Kanagawa, c. 1831",
           "Katsushika Hokusai (1760-1849)", "Public domain (painter died 1849)", GCOMPRIS),
    Sample("composition_viii", "style", "Composition VIII, 1923",
           "Wassily Kandinsky (1866-1944)", "Public domain (painter died 1944)", GCOMPRIS),
    Sample("texture_citrus", "style", "Citrus fruits (slices on white)",
           "US Department of Agriculture", "Public domain", PALAPELI),
    Sample("texture_facade", "style", "Hawa Mahal, Jaipur (crop of the façade)",
           "Janwiki", "Public domain", GCOMPRIS),
    Sample("waterfront_day", "photo", "Schwerin Palace on the lake, by day", "Hermann Luyken", CC0, GCOMPRIS),
    Sample("waterfront_night", "photo", "Roebling Suspension Bridge, Cincinnati, at night",
           "Derek Jensen", "Public domain", PALAPELI),
    Sample("berlin_day", "photo", "Berlin Cathedral, by day", "Gary Todd", CC0, GCOMPRIS),
    Sample("berlin_dusk", "photo", "Brandenburg Gate, Berlin, at dusk",
           "Evans1551", "Public domain", GCOMPRIS),
    Sample("hills_summer", "photo", "Great Wall of China, green hills in July",
           "Nicolas Perrault III", CC0, GCOMPRIS),
    Sample("hills_autumn", "photo", "Aitzgorri, autumn larches below the mountain",
           "Aitzol Berasategi", "CC-BY-4.0", "Debian lomiri-wallpapers-16.04 20.04.0-2"),
)
# fmt: on


def samples() -> list[Sample]:
    """All bundled pictures: those for content, then for style, then the photo pairs.

    >>> print(samples()[0])
    chenonceau_river  content  Château de Chenonceau over the river Cher, by Alf van Beem. Public domain
    >>> samples()[0].path.name
    'chenonceau_river.jpg'
    """
    return list(SAMPLES)
