"""The transcripts of the contract, through the generated binding's façade."""

import json
import pathlib
import tempfile
import unittest

from transcript import TranscriptFailure, play

CONTRACT = pathlib.Path(__file__).parents[2] / "tests" / "contract"


def transcripts(folder):
    paths = sorted((CONTRACT / folder).glob("*.json"))
    assert paths, f"there are no transcripts in {folder}"
    for path in paths:
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


class Transcripts(unittest.IsolatedAsyncioTestCase):
    async def test_a_transcript_is_what_the_facade_does(self):
        for name, transcript in transcripts("transcripts"):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                await play(transcript, folder)

    async def test_a_wrong_transcript_fails_where_it_is_wrong(self):
        for name, transcript in transcripts("transcripts/wrong"):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                with self.assertRaises(TranscriptFailure) as failed:
                    await play(transcript, folder)
                self.assertEqual(failed.exception.step, transcript["failsAt"], str(failed.exception))


if __name__ == "__main__":
    unittest.main()
