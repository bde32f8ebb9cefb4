//! Links the programs with what runs at a start side by side, and otherwise as libraries for phones (`scripts/lib/phone.sh`).

use std::path::Path;

fn main() {
    let order = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scripts/lib/startup_order.ld");
    println!("cargo:rerun-if-changed={}", order.display());
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", order.display());
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
