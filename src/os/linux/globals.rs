//! The types of some global variables, which BTF does not have.

/// Names and types, in the order of the names.
static TYPES: &[(&str, &str)] = &[
    ("__per_cpu_offset", "unsigned long[]"),
    ("avenrun", "unsigned long[]"),
    ("cgrp_dfl_root", "struct cgroup_root"),
    ("file_systems", "struct file_system_type *"),
    ("init_cred", "struct cred"),
    ("init_files", "struct files_struct"),
    ("init_fs", "struct fs_struct"),
    ("init_mm", "struct mm_struct"),
    ("init_net", "struct net"),
    ("init_nsproxy", "struct nsproxy"),
    ("init_pid_ns", "struct pid_namespace"),
    ("init_task", "struct task_struct"),
    ("init_user_ns", "struct user_namespace"),
    ("init_uts_ns", "struct uts_namespace"),
    ("iomem_resource", "struct resource"),
    ("ioport_resource", "struct resource"),
    ("jiffies", "unsigned long"),
    ("jiffies_64", "u64"),
    ("linux_banner", "char[]"),
    ("modules", "struct list_head"),
    ("net_namespace_list", "struct list_head"),
    ("nr_cpu_ids", "unsigned int"),
    ("nr_threads", "int"),
    ("prb", "struct printk_ringbuffer *"),
    ("printk_rb_static", "struct printk_ringbuffer"),
    ("saved_command_line", "char *"),
    ("super_blocks", "struct list_head"),
    ("swapper_pg_dir", "unsigned long[]"),
    ("sysctl_hung_task_timeout_secs", "unsigned long"),
    ("total_forks", "unsigned long"),
    ("tk_core", "struct timekeeper"),
    ("vmap_area_list", "struct list_head"),
];

/// Returns the type of a global variable.
pub(super) fn type_of(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_variable_is_there_once() {
        let mut names: Vec<&str> = super::TYPES.iter().map(|(n, _)| *n).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!((super::type_of("jiffies"), super::type_of("no")), (Some("unsigned long"), None));
    }
}
