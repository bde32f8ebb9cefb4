//! The whole system in one thread and in virtual time: engines with their real journal, the server's real room
//! logic, and between them a disk and a network that do what a seed says.

pub mod random;
pub mod storage;
