//! The partition log: segments, indexes, leader epochs, producer state, recovery; and the disks it runs on.
