import unittest

from size import crate, shares


class Size(unittest.TestCase):
    def test_a_symbol_belongs_to_the_crate_of_its_first_path(self):
        self.assertEqual(crate("tokio::runtime::task::raw::poll"), "tokio")
        self.assertEqual(crate("<alloc::vec::Vec<syncline::Row> as core::fmt::Debug>::fmt"), "alloc")
        self.assertEqual(crate("core::ptr::drop_in_place<syncline::driver::Driver>"), "core")
        self.assertEqual(crate("<&mut rustls::conn::Connection as std::io::Read>::read"), "rustls")

    def test_what_has_no_path_is_known_by_its_prefix(self):
        self.assertEqual(crate("ring_core_0_17_14__p256_mul"), "ring")
        self.assertEqual(crate("uniffi_syncline_ffi_fn_method_client_close"), "syncline_ffi")
        self.assertEqual(crate("__rust_alloc"), "(other)")

    def test_only_symbols_with_a_size_in_the_library_are_counted(self):
        listed = "0000 0010 t sled::tree::get\n0010 0020 T sled::tree::set\n0030 0040 U sled::x\n0070 t no_size\n0080 0001 b zeroed\n"
        self.assertEqual(dict(shares(listed)), {"sled": 0x30})
