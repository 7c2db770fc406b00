"""Reports: what a result says, as content without a format, and one file a format."""

from hindmost.report.document import result_document
from hindmost.report.formats import FORMATS, render

__all__ = ["FORMATS", "render", "result_document"]
