//! seccomp: which system calls this process may make.
//!
//! A list of what wasmtime, WASI on files and a runtime need; all else answers
//! as if the kernel did not have it, so that what can do without goes on.

use std::collections::BTreeMap;

use libc as c;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// On files that are open, or that Landlock lets it open.
const FILES: [c::c_long; 43] = [
    c::SYS_read,
    c::SYS_write,
    c::SYS_readv,
    c::SYS_writev,
    c::SYS_pread64,
    c::SYS_pwrite64,
    c::SYS_preadv,
    c::SYS_pwritev,
    c::SYS_preadv2,
    c::SYS_pwritev2,
    c::SYS_lseek,
    c::SYS_close,
    c::SYS_openat,
    c::SYS_openat2,
    c::SYS_fstat,
    c::SYS_newfstatat,
    c::SYS_statx,
    c::SYS_fstatfs,
    c::SYS_faccessat,
    c::SYS_faccessat2,
    c::SYS_readlinkat,
    c::SYS_getdents64,
    c::SYS_getcwd,
    c::SYS_mkdirat,
    c::SYS_unlinkat,
    c::SYS_renameat,
    c::SYS_renameat2,
    c::SYS_linkat,
    c::SYS_symlinkat,
    c::SYS_fchmod,
    c::SYS_utimensat,
    c::SYS_ftruncate,
    c::SYS_fallocate,
    c::SYS_fadvise64,
    c::SYS_fsync,
    c::SYS_fdatasync,
    c::SYS_sync_file_range,
    c::SYS_flock,
    c::SYS_fcntl,
    c::SYS_ioctl,
    c::SYS_dup,
    c::SYS_dup3,
    c::SYS_copy_file_range,
];
/// On its own memory, threads and time.
const SELF: [c::c_long; 46] = [
    c::SYS_brk,
    c::SYS_mmap,
    c::SYS_munmap,
    c::SYS_mprotect,
    c::SYS_mremap,
    c::SYS_madvise,
    c::SYS_membarrier,
    c::SYS_rt_sigaction,
    c::SYS_rt_sigprocmask,
    c::SYS_rt_sigreturn,
    c::SYS_sigaltstack,
    c::SYS_set_robust_list,
    c::SYS_set_tid_address,
    c::SYS_rseq,
    c::SYS_futex,
    c::SYS_sched_yield,
    c::SYS_sched_getaffinity,
    c::SYS_setpriority,
    c::SYS_getpriority,
    c::SYS_nanosleep,
    c::SYS_clock_nanosleep,
    c::SYS_clock_gettime,
    c::SYS_clock_getres,
    c::SYS_gettimeofday,
    c::SYS_getrandom,
    c::SYS_epoll_create1,
    c::SYS_epoll_ctl,
    c::SYS_epoll_pwait,
    c::SYS_eventfd2,
    c::SYS_timerfd_create,
    c::SYS_timerfd_settime,
    c::SYS_pipe2,
    c::SYS_ppoll,
    c::SYS_pselect6,
    c::SYS_getpid,
    c::SYS_getppid,
    c::SYS_gettid,
    c::SYS_getuid,
    c::SYS_geteuid,
    c::SYS_prlimit64,
    c::SYS_getrusage,
    c::SYS_uname,
    c::SYS_sysinfo,
    c::SYS_restart_syscall,
    c::SYS_exit,
    c::SYS_exit_group,
];
/// Older names of the same, where the machine has them.
#[cfg(target_arch = "x86_64")]
const OLD: [c::c_long; 11] = [
    c::SYS_open,
    c::SYS_stat,
    c::SYS_lstat,
    c::SYS_access,
    c::SYS_readlink,
    c::SYS_unlink,
    c::SYS_mkdir,
    c::SYS_rename,
    c::SYS_poll,
    c::SYS_epoll_wait,
    c::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [c::c_long; 0] = [];

/// A thread is made with all of these, and nothing in another namespace.
const THREAD: u64 =
    (c::CLONE_VM | c::CLONE_FS | c::CLONE_FILES | c::CLONE_SIGHAND | c::CLONE_THREAD) as u64;

/// Restricts this process, before it has threads; whether that was possible.
pub(super) fn restrict() -> bool {
    filter().is_some_and(|program| apply_filter(&program).is_ok())
}

fn filter() -> Option<BpfProgram> {
    let arch = match cfg!(target_arch = "aarch64") {
        true => TargetArch::aarch64,
        false => TargetArch::x86_64,
    };
    let free = FILES.iter().chain(&SELF).chain(&OLD);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = free.map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    rules.insert(
        c::SYS_clone,
        vec![given(0, Length::Qword, Is::MaskedEq(THREAD), THREAD)?],
    );
    for call in [c::SYS_kill, c::SYS_tgkill] {
        rules.insert(call, vec![given(0, Length::Dword, Is::Eq, own)?]);
    }
    // Two ends without a name, for what wakes a runtime.
    let unix = u64::try_from(c::AF_UNIX).ok()?;
    rules.insert(
        c::SYS_socketpair,
        vec![given(0, Length::Dword, Is::Eq, unix)?],
    );
    let name = u64::try_from(c::PR_SET_NAME).ok()?;
    rules.insert(c::SYS_prctl, vec![given(0, Length::Dword, Is::Eq, name)?]);
    let unknown = SeccompAction::Errno(u32::try_from(c::ENOSYS).ok()?);
    let filter = SeccompFilter::new(rules, unknown, SeccompAction::Allow, arch).ok()?;
    filter.try_into().ok()
}

/// A rule on one argument.
fn given(argument: u8, length: Length, is: Is, value: u64) -> Option<SeccompRule> {
    let condition = SeccompCondition::new(argument, length, is, value).ok()?;
    SeccompRule::new(vec![condition]).ok()
}
