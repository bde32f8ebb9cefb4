import unittest

from xcframework import XcframeworkError, entry, platform, platforms

DEVICE = "Load command 1\n      cmd LC_BUILD_VERSION\n  cmdsize 24\n platform 2\n    minos 16.4\n"
SIMULATOR = DEVICE.replace("platform 2", "platform IOSSIMULATOR")


class Xcframework(unittest.TestCase):
    def test_the_platform_is_read_from_the_objects(self):
        self.assertEqual(platforms(DEVICE), {"2"})
        self.assertEqual(platform("a", DEVICE), ("ios", None))
        self.assertEqual(platform("a", SIMULATOR), ("ios", "simulator"))

    def test_objects_for_two_platforms_in_one_library_are_an_error(self):
        with self.assertRaises(XcframeworkError):
            platform("a", DEVICE + SIMULATOR)

    def test_objects_without_a_platform_are_an_error(self):
        with self.assertRaises(XcframeworkError):
            platform("a", "Load command 1\n      cmd LC_SYMTAB\n")

    def test_a_slice_is_named_as_xcode_names_it(self):
        described = entry("libx.a", ("ios", "simulator"), ["arm64", "x86_64"])
        self.assertEqual(described["LibraryIdentifier"], "ios-arm64_x86_64-simulator")
        self.assertEqual(described["SupportedPlatformVariant"], "simulator")
        self.assertNotIn("SupportedPlatformVariant", entry("libx.a", ("ios", None), ["arm64"]))
