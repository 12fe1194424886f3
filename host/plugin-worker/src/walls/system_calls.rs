//! System calls of the process. All others fail with `EPERM`.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// Calls that compiling and running need, with any arguments. None takes a path or an address of a network, makes a
/// process, or names one.
const ALLOWED: &[libc::c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_fstat,
    libc::SYS_lseek,
    // The socket to the server and files that came over it.
    libc::SYS_close,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_write,
    // Threads of the compiler.
    libc::SYS_exit,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    // Traps of a plugin are signals of its own process.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Others.
    libc::SYS_clock_gettime,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    // The C library tries it and falls back to `clone` if the kernel does not have it: see `restrict`.
    libc::SYS_clone3,
];

/// Further calls of the C library on this machine.
#[cfg(target_arch = "x86_64")]
const MACHINE: &[libc::c_long] = &[libc::SYS_poll];
/// Further calls of the C library on this machine.
#[cfg(not(target_arch = "x86_64"))]
const MACHINE: &[libc::c_long] = &[];

/// Commands about descriptors that are allowed.
const DESCRIPTOR_COMMANDS: &[libc::c_int] =
    &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_ADD_SEALS, libc::F_GET_SEALS];

/// Number of the control call with which wasmtime reads which pages of a memory are dirty, on a descriptor of its own.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// Flag of `clone` with which a thread is made and not a process.
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;

/// Restricts the system calls of this process, for good.
pub(super) fn restrict() -> Result<(), String> {
    let text = |error: seccompiler::Error| error.to_string();
    let backend = |error: seccompiler::BackendError| error.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(backend)?;
    let argument = |index, operator, value| {
        let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value);
        condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(backend)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(MACHINE).map(|number| (*number, vec![])).collect();
    rules.insert(libc::SYS_clone, vec![argument(0, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?]);
    rules.insert(libc::SYS_ioctl, vec![argument(1, SeccompCmpOp::Eq, PAGEMAP_SCAN)?]);
    rules.insert(libc::SYS_prctl, vec![argument(0, SeccompCmpOp::Eq, libc::PR_SET_NAME as u64)?]);
    // Limits of its own, which can only become narrower.
    rules.insert(libc::SYS_prlimit64, vec![argument(0, SeccompCmpOp::Eq, 0)?]);
    // Other commands could make the kernel send signals to another process.
    let commands = DESCRIPTOR_COMMANDS.iter().map(|command| argument(1, SeccompCmpOp::Eq, *command as u64));
    rules.insert(libc::SYS_fcntl, commands.collect::<Result<_, _>>()?);
    // `abort` sends the signal to its own thread.
    rules.insert(libc::SYS_tgkill, vec![argument(0, SeccompCmpOp::Eq, std::process::id().into())?]);
    let filter = |rules, otherwise, then| {
        let filter = SeccompFilter::new(rules, otherwise, then, arch).map_err(backend)?;
        BpfProgram::try_from(filter).map_err(backend)
    };
    // Of two filters the stricter answer counts.
    let absent = filter(
        BTreeMap::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    )?;
    let allowed = filter(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    // The process has one thread. The second filter needs a call that the last one takes away.
    apply_filter(&absent).and_then(|()| apply_filter(&allowed)).map_err(text)
}
