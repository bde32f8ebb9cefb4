import unittest

from phone_inspect import SIZE_BYTES_MAX, called, elf_errors, manifest_errors, not_exported, too_large

ALLOWED = {"libc": ["memcpy"]}
BINDING = "external fun uniffi_syncline_ffi_fn_open(): Long"


def symbol(name, section, binding="Global"):
    return {"Symbol": {"Name": {"Name": name}, "Section": {"Name": section}, "Binding": {"Name": binding}}}


def library(*symbols, machine="EM_AARCH64", alignment=16384, needed=("libc.so",)):
    return {
        "ElfHeader": {"Machine": {"Name": machine}, "Ident": {"Class": {"Name": "64-bit"}}},
        "ProgramHeaders": [{"ProgramHeader": {"Type": {"Name": "PT_LOAD"}, "Alignment": alignment}}],
        "NeededLibraries": list(needed),
        "DynamicSymbols": [symbol("uniffi_syncline_ffi_fn_open", ".text"), *symbols],
    }


class PhoneInspect(unittest.TestCase):
    def errors(self, elf):
        return elf_errors(elf, "arm64-v8a", ALLOWED, BINDING)

    def test_a_sound_library_has_no_errors(self):
        self.assertEqual(self.errors(library(symbol("memcpy@LIBC", "Undefined"))), [])

    def test_a_system_symbol_that_nobody_reviewed_is_an_error(self):
        self.assertIn("pthread_cond_clockwait", self.errors(library(symbol("pthread_cond_clockwait", "Undefined")))[0])

    def test_a_weak_symbol_may_be_missing(self):
        self.assertEqual(self.errors(library(symbol("getrandom", "Undefined", "Weak"))), [])

    def test_a_library_that_the_system_does_not_have_is_an_error(self):
        self.assertEqual(self.errors(library(needed=["libc.so", "libc++_shared.so"])), ["needs the library libc++_shared.so"])

    def test_a_binding_that_declares_nothing_is_an_error(self):
        self.assertEqual(not_exported("class Client", {"uniffi_syncline_ffi_fn_open"}), ["the binding calls nothing"])

    def test_declarations_are_found_in_kotlin_and_in_c(self):
        header = "uint64_t uniffi_syncline_ffi_fn_open(RustCallStatus *status);\nvoid ffi_syncline_ffi_rustbuffer_free(RustBuffer b);"
        self.assertEqual(called(BINDING), {"uniffi_syncline_ffi_fn_open"})
        self.assertEqual(called(header), {"uniffi_syncline_ffi_fn_open", "ffi_syncline_ffi_rustbuffer_free"})

    def test_a_size_over_its_limit_is_an_error(self):
        limit = SIZE_BYTES_MAX["app"]["arm64-v8a"]
        self.assertEqual(too_large(limit, "app", "arm64-v8a"), [])
        self.assertEqual(too_large(limit + 1, "app", "arm64-v8a"), [f"{limit + 1} bytes, at most {limit}"])

    def test_a_function_that_needs_a_reason_is_matched_without_its_suffix(self):
        errors = manifest_errors({"_fstat$INODE64", "_open"}, {"NSPrivacyAccessedAPITypes": []})
        self.assertEqual(len(errors), 1)
        self.assertIn("NSPrivacyAccessedAPICategoryFileTimestamp", errors[0])
