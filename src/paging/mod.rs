//! Page-table walks: from a virtual address to guest-physical memory.
