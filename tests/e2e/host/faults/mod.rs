//! What fails the host itself: descriptors, the disk, the clock, its own files.

mod clock;
mod descriptors;
mod disk;
mod instances;
