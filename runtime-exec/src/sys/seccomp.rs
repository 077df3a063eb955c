//! Installing a system call filter.

use std::io;

/// One instruction of a classic BPF program, as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    /// Operation.
    pub(crate) code: u16,
    /// Instructions to skip when a condition holds.
    pub(crate) jt: u8,
    /// Instructions to skip when it does not.
    pub(crate) jf: u8,
    /// Operand.
    pub(crate) k: u32,
}

/// A program as the kernel is told of it; as good as what it was made from lives.
#[repr(C)]
pub(super) struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Describes `program` to the kernel.
pub(super) fn header(program: &[Instruction]) -> io::Result<Program> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    Ok(Program { len, filter: program.as_ptr() })
}

/// Installs `program` for this thread and what it executes. Needs `CAP_SYS_ADMIN` in its user
/// namespace, or no_new_privs.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    let header = header(program)?;
    let load = |flags: libc::c_ulong| {
        // SAFETY: `header` describes `program`, whose layout is that of `sock_filter`; both outlive
        // the call, which copies them.
        unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
                flags,
                &raw const header,
            )
        }
    };
    // Speculation stays allowed as outside; kernels before 4.17 do not know the flag.
    if load(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) == 0 || load(0) == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
