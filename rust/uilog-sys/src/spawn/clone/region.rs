//! The memory of a child's two stacks.
//!
//! Must not know what runs on them.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Bytes of one child's stack. The deepest use seen is under 1 KiB; a debug
/// build needs a few times that.
const STACK_BYTES: usize = 32 * 1024;
/// Bytes of the area below both stacks.
const GUARD_BYTES: usize = 4096;
const REGION_BYTES: usize = GUARD_BYTES + 2 * STACK_BYTES;

/// The two stacks of a launch, above an unused area.
///
/// The child's is above the intermediate child's, which has exited before the
/// child does anything, so one area protects all other memory from both.
pub(crate) struct Region {
    base: *mut c_void,
    is_first: bool,
}

/// The region of the first launch, which is the only one for most processes: to
/// map another one takes two system calls, for which hg would wait. The area
/// below its stacks is not inaccessible; it is as large, and each stack is
/// thirty times as large as needed.
static FIRST: First = First(UnsafeCell::new([0; REGION_BYTES]));
static FIRST_IS_TAKEN: AtomicBool = AtomicBool::new(false);

#[repr(C, align(4096))]
struct First(UnsafeCell<[u8; REGION_BYTES]>);

// SAFETY: nobody refers to the bytes but the one launch that has set
// `FIRST_IS_TAKEN`, and its children.
unsafe impl Sync for First {}

impl Region {
    pub(crate) fn new() -> io::Result<Self> {
        if !FIRST_IS_TAKEN.swap(true, Ordering::AcqRel) {
            return Ok(Self {
                base: FIRST.0.get().cast(),
                is_first: true,
            });
        }
        Self::map()
    }

    fn map() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                REGION_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let region = Self {
            base,
            is_first: false,
        };
        // SAFETY: the first bytes of the mapping, which nobody uses.
        let guarded = unsafe {
            libc::mprotect(region.base, GUARD_BYTES, libc::PROT_NONE)
        };
        if guarded != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(region)
    }

    /// The top of the middle child's stack.
    pub(super) fn middle_stack(&self) -> *mut c_void {
        self.base.wrapping_byte_add(GUARD_BYTES + STACK_BYTES)
    }

    /// The top of the child's stack.
    pub(crate) fn child_stack(&self) -> *mut c_void {
        self.base.wrapping_byte_add(REGION_BYTES)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.is_first {
            FIRST_IS_TAKEN.store(false, Ordering::Release);
            return;
        }
        // SAFETY: exactly the mapping that `new` made, which no one uses any
        // more: a launch is dropped only when its child has left.
        unsafe { libc::munmap(self.base, REGION_BYTES) };
    }
}
