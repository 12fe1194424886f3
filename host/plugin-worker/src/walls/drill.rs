//! Escape drill: a process behind the walls tries to leave them, with every system call that could help.

use std::process::{Command, Stdio};

use sluice_plugin_protocol::ProcessLimits;

/// A system call and its arguments. `PATH`, `SELF` and `PARENT` stand for values of the process.
type Attempt = (&'static str, libc::c_long, [i64; 6]);

/// Address of the text `/etc/hostname`.
const PATH: i64 = i64::MIN;
/// Id of the process's parent.
const PARENT: i64 = i64::MIN + 1;
/// Address of a buffer of zeros.
const ZEROS: i64 = i64::MIN + 2;

const CWD: i64 = libc::AT_FDCWD as i64;

/// Attempts by what they would reach.
const ATTEMPTS: &[(&str, &[Attempt])] = &[
    (
        "a file",
        &[
            ("openat", libc::SYS_openat, [CWD, PATH, 0, 0, 0, 0]),
            ("openat to write", libc::SYS_openat, [CWD, PATH, 0o101, 0o600, 0, 0]),
            ("openat2", libc::SYS_openat2, [CWD, PATH, ZEROS, 24, 0, 0]),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, [CWD, ZEROS, 0, 0, 0, 0]),
            ("newfstatat", libc::SYS_newfstatat, [CWD, PATH, ZEROS, 0, 0, 0]),
            ("statx", libc::SYS_statx, [CWD, PATH, 0, 0, ZEROS, 0]),
            ("faccessat", libc::SYS_faccessat, [CWD, PATH, 0, 0, 0, 0]),
            ("readlinkat", libc::SYS_readlinkat, [CWD, PATH, ZEROS, 64, 0, 0]),
            ("unlinkat", libc::SYS_unlinkat, [CWD, PATH, 0, 0, 0, 0]),
            ("mkdirat", libc::SYS_mkdirat, [CWD, PATH, 0o700, 0, 0, 0]),
            ("renameat2", libc::SYS_renameat2, [CWD, PATH, CWD, PATH, 0, 0]),
            ("linkat", libc::SYS_linkat, [CWD, PATH, CWD, PATH, 0, 0]),
            ("fchmodat", libc::SYS_fchmodat, [CWD, PATH, 0o777, 0, 0, 0]),
            ("chdir", libc::SYS_chdir, [PATH, 0, 0, 0, 0, 0]),
            ("chroot", libc::SYS_chroot, [PATH, 0, 0, 0, 0, 0]),
            ("mount", libc::SYS_mount, [PATH, PATH, PATH, 0, 0, 0]),
            ("getdents64", libc::SYS_getdents64, [1, ZEROS, 64, 0, 0, 0]),
            ("inotify_init1", libc::SYS_inotify_init1, [0, 0, 0, 0, 0, 0]),
            ("io_uring_setup", libc::SYS_io_uring_setup, [1, ZEROS, 0, 0, 0, 0]),
        ],
    ),
    (
        "a socket",
        &[
            ("socket, IPv4", libc::SYS_socket, [libc::AF_INET as i64, libc::SOCK_STREAM as i64, 0, 0, 0, 0]),
            ("socket, IPv6", libc::SYS_socket, [libc::AF_INET6 as i64, libc::SOCK_DGRAM as i64, 0, 0, 0, 0]),
            ("socket, local", libc::SYS_socket, [libc::AF_UNIX as i64, libc::SOCK_STREAM as i64, 0, 0, 0, 0]),
            ("socket, netlink", libc::SYS_socket, [libc::AF_NETLINK as i64, libc::SOCK_RAW as i64, 0, 0, 0, 0]),
            ("socketpair", libc::SYS_socketpair, [libc::AF_UNIX as i64, libc::SOCK_STREAM as i64, 0, ZEROS, 0, 0]),
            ("connect", libc::SYS_connect, [0, ZEROS, 16, 0, 0, 0]),
            ("bind", libc::SYS_bind, [0, ZEROS, 16, 0, 0, 0]),
            ("listen", libc::SYS_listen, [0, 1, 0, 0, 0, 0]),
            ("accept4", libc::SYS_accept4, [0, 0, 0, 0, 0, 0]),
        ],
    ),
    (
        "another process",
        &[
            ("kill of the server", libc::SYS_kill, [PARENT, libc::SIGTERM as i64, 0, 0, 0, 0]),
            ("kill of all", libc::SYS_kill, [-1, 0, 0, 0, 0, 0]),
            ("tgkill of the server", libc::SYS_tgkill, [PARENT, PARENT, 0, 0, 0, 0]),
            ("tkill of the server", libc::SYS_tkill, [PARENT, 0, 0, 0, 0, 0]),
            ("pidfd_open", libc::SYS_pidfd_open, [PARENT, 0, 0, 0, 0, 0]),
            ("pidfd_getfd", libc::SYS_pidfd_getfd, [0, 0, 0, 0, 0, 0]),
            ("ptrace", libc::SYS_ptrace, [libc::PTRACE_ATTACH as i64, PARENT, 0, 0, 0, 0]),
            ("process_vm_readv", libc::SYS_process_vm_readv, [PARENT, ZEROS, 1, ZEROS, 1, 0]),
            ("process_vm_writev", libc::SYS_process_vm_writev, [PARENT, ZEROS, 1, ZEROS, 1, 0]),
            ("prlimit64 of the server", libc::SYS_prlimit64, [PARENT, libc::RLIMIT_NOFILE as i64, ZEROS, 0, 0, 0]),
            ("fcntl, signals to the server", libc::SYS_fcntl, [0, libc::F_SETOWN as i64, PARENT, 0, 0, 0]),
            ("setpriority of the server", libc::SYS_setpriority, [0, PARENT, 0, 0, 0, 0]),
            ("getpgid of the server", libc::SYS_getpgid, [PARENT, 0, 0, 0, 0, 0]),
            ("shmget", libc::SYS_shmget, [1, 64, 0o600, 0, 0, 0]),
            ("msgget", libc::SYS_msgget, [1, 0o600, 0, 0, 0, 0]),
            ("mq_open", libc::SYS_mq_open, [PATH, 0, 0, 0, 0, 0]),
        ],
    ),
    (
        "a process of its own",
        &[
            ("clone", libc::SYS_clone, [libc::SIGCHLD as i64, 0, 0, 0, 0, 0]),
            ("clone3", libc::SYS_clone3, [ZEROS, 64, 0, 0, 0, 0]),
            ("execve", libc::SYS_execve, [PATH, 0, 0, 0, 0, 0]),
            ("execveat", libc::SYS_execveat, [CWD, PATH, 0, 0, 0, 0]),
        ],
    ),
    (
        "more power",
        &[
            ("setuid", libc::SYS_setuid, [0, 0, 0, 0, 0, 0]),
            ("capset", libc::SYS_capset, [ZEROS, ZEROS, 0, 0, 0, 0]),
            ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as i64, 0, 0, 0, 0, 0]),
            ("setns", libc::SYS_setns, [0, 0, 0, 0, 0, 0]),
            ("bpf", libc::SYS_bpf, [0, ZEROS, 64, 0, 0, 0]),
            ("perf_event_open", libc::SYS_perf_event_open, [ZEROS, 0, -1, -1, 0, 0]),
            ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0, 0, 0]),
            ("keyctl", libc::SYS_keyctl, [0, 0, 0, 0, 0, 0]),
            ("init_module", libc::SYS_init_module, [ZEROS, 1, ZEROS, 0, 0, 0]),
            ("seccomp", libc::SYS_seccomp, [0, 0, 0, 0, 0, 0]),
            ("prctl, dumpable", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as i64, 1, 0, 0, 0, 0]),
            ("ioctl, terminal input", libc::SYS_ioctl, [0, 0x5412, ZEROS, 0, 0, 0]),
            ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0, 0]),
        ],
    ),
];

/// Descriptors that a worker has: standard streams, the socket, and files of wasmtime without a name.
const OPEN: std::ops::Range<i32> = 3..64;

#[test]
fn an_escaped_plugin_reaches_nothing() {
    let tried = Command::new("/proc/self/exe")
        .args(["walls::drill::is_an_escaped_plugin", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&tried.stdout);
    let lines: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("drill: ")?.1)).collect();
    println!("{}", lines.join("\n"));
    let expected: usize = ATTEMPTS.iter().map(|(_, attempts)| attempts.len()).sum();
    // Three lines beside those of system calls: the descriptors, memory, and a missing wall.
    assert_eq!(lines.len(), expected + 3, "{text}{}", String::from_utf8_lossy(&tried.stderr));
    // A kernel may lack a wall. Every attempt has to fail nevertheless: most are refused by two walls.
    let attempts = lines.iter().filter(|line| !line.starts_with("a missing wall"));
    let reached: Vec<&&str> = attempts.filter(|line| !line.contains("refused")).collect();
    assert!(reached.is_empty(), "{reached:?}");
}

#[test]
#[ignore = "an escaped plugin, which another test starts"]
fn is_an_escaped_plugin() {
    super::close_descriptors();
    let walls = super::raise(std::os::unix::process::parent_id());
    let data_bytes = 64 << 20;
    super::limit_resources(&ProcessLimits { data_bytes, address_bytes: data_bytes * 4, file_bytes: data_bytes });
    let missing = if walls.missing.is_empty() { "refused".to_owned() } else { format!("{:?}", walls.missing) };
    println!("drill: a missing wall: {missing}");
    let open = OPEN.filter(|descriptor| try_call(libc::SYS_fcntl, [i64::from(*descriptor), 1, 0, 0, 0, 0]).is_ok());
    println!("drill: a descriptor of the server: {}", if open.count() == 0 { "refused" } else { "open" });
    let more = vec![0_u8; 0].try_reserve_exact(1 << 30).is_err();
    println!("drill: a gigabyte of memory: {}", if more { "refused" } else { "given" });
    for (goal, attempts) in ATTEMPTS {
        for (name, number, arguments) in *attempts {
            let tried = match try_call(*number, *arguments) {
                Err(libc::EPERM | libc::ENOSYS | libc::EACCES) => "refused".to_owned(),
                other => format!("{other:?}"),
            };
            println!("drill: {goal}, by {name}: {tried}");
        }
    }
}

/// Calls the system. Returns its answer, or the number of its error.
fn try_call(number: libc::c_long, arguments: [i64; 6]) -> Result<i64, i32> {
    static PATH_TEXT: &[u8] = b"/etc/hostname\0";
    let mut zeros = [0_u64; 64];
    let zeros_address = zeros.as_mut_ptr() as i64;
    let value = |argument| match argument {
        PATH => PATH_TEXT.as_ptr() as i64,
        PARENT => i64::from(std::os::unix::process::parent_id()),
        ZEROS => zeros_address,
        other => other,
    };
    let [a, b, c, d, e, f] = arguments.map(value);
    // SAFETY: every pointer among the arguments is to a text with its end, or to a buffer that is longer than what the calls
    // write. A call that succeeds is a failure of the test, which ends the process.
    #[allow(unsafe_code)]
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer >= 0 { Ok(answer) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or_default()) }
}
