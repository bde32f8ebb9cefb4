//! Without a feature this links for every phone. Each feature is a mistake that has happened to somebody.

/// Something of the standard library, as any library has.
#[unsafe(no_mangle)]
pub extern "C" fn plants_sound(number: u32) -> usize {
    format!("{number}").len()
}

/// Android has it since API level 30: on an older phone the whole library would not load.
#[cfg(feature = "api-30")]
#[unsafe(no_mangle)]
pub extern "C" fn plants_api_30() {
    unsafe extern "C" {
        safe fn pthread_cond_clockwait(cond: usize, mutex: usize, clock: i32, until: usize) -> i32;
    }
    pthread_cond_clockwait(0, 0, 0, 0);
}

/// Only Linux has it, so an app for iOS would not link.
#[cfg(feature = "linux-only")]
#[unsafe(no_mangle)]
pub extern "C" fn plants_linux_only() -> i32 {
    unsafe extern "C" {
        safe fn epoll_create1(flags: i32) -> i32;
    }
    epoll_create1(0)
}

/// More than a phone of 32 bits can count to.
#[cfg(feature = "pointer-width")]
#[unsafe(no_mangle)]
pub extern "C" fn plants_pointer_width() -> usize {
    5_000_000_000
}
