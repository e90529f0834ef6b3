//! Files for those who debug a guest: ELF core dumps, kdump-compressed dumps, and Windows crash dumps.
