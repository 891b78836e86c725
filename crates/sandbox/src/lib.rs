//! A local cloud: the emulators that Causeway is tried and tested on, installed on first use, started on free loopback
//! ports, supervised, and stopped with the process that started them.

pub mod gateway;
