"""The relative links of all documents lead to files, and to headings where they name one."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
NO_DOCUMENTS = {"build", ".git"}


def documents():
    return [path for path in sorted(ROOT.rglob("*.md")) if path.relative_to(ROOT).parts[0] not in NO_DOCUMENTS]


def anchors(document):
    """What headings are called in links, as GitHub has it."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document):
    text = CODE.sub("", document.read_text(encoding="utf-8"))
    return [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]


class Links(unittest.TestCase):
    def test_lead_somewhere(self):
        checked = 0
        for document in documents():
            for link in links(document):
                with self.subTest(document=str(document.relative_to(ROOT)), link=link):
                    path, _, anchor = link.partition("#")
                    target = (document.parent / path).resolve() if path else document
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(target))
                checked += 1
        self.assertGreater(checked, 0)


if __name__ == "__main__":
    unittest.main()
