//! The mapped memory, as atomics only.
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of this layout: any change of what lies where makes another.
pub const VERSION: u64 = 2;
const MAGIC: u64 = u64::from_be_bytes(*b"MHZPLANE");

const PAGE: usize = 4096;
/// A cache line, twice: neighbours are fetched in pairs (Intel's optimisation manual, 3.7.3).
pub(crate) const LINE: usize = 128;

// The header's words.
const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 1;
const AT_SIZE: usize = 2;
const AT_PARTS: usize = 3;
const AT_NEXT: usize = 4;
const AT_SEED: usize = 5;
const AT_BEGAN: usize = 6;
pub(crate) const HEADER: usize = PAGE;

/// Why a segment cannot be had.
#[derive(Debug)]
pub enum Broken {
    /// The kernel refused.
    System(rustix::io::Errno),
    /// It is not one, or one of another layout, or could be cut short under its readers.
    Foreign(&'static str),
    /// Nothing more fits in.
    Full,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::System(error) => write!(out, "{error}"),
            Broken::Foreign(why) => out.write_str(why),
            Broken::Full => out.write_str("the segment is full"),
        }
    }
}

impl std::error::Error for Broken {}

impl From<rustix::io::Errno> for Broken {
    fn from(error: rustix::io::Errno) -> Broken {
        Broken::System(error)
    }
}

/// A mapping of zeros that grow into pages as they are written.
pub struct Segment {
    base: NonNull<AtomicU64>,
    bytes: usize,
    writable: bool,
    fd: Option<OwnedFd>,
}

// SAFETY: the memory is only ever reached as atomics, and stays mapped until the last owner is gone.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// One that others may map, by its descriptor; `parts` workers at once.
    pub fn shared(bytes: usize, parts: usize) -> Result<Segment, Broken> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("megahertz-plane", flags)?;
        let bytes = bytes.next_multiple_of(PAGE);
        ftruncate(&fd, bytes as u64)?;
        // Whoever maps it can rely on its pages: a shorter file would be SIGBUS.
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let segment = Segment::map(fd, bytes, true)?;
        segment.begin(parts);
        Ok(segment)
    }

    /// One of this process alone.
    pub fn private(bytes: usize) -> Result<Segment, Broken> {
        let bytes = bytes.next_multiple_of(PAGE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let base = unsafe { mmap_anonymous(null_mut(), bytes, protection, flags)? };
        let segment = Segment { base: at(base)?, bytes, writable: true, fd: None };
        segment.begin(1);
        Ok(segment)
    }

    /// Somebody else's, by its descriptor; without `writable`, only to look at.
    ///
    /// # Errors
    /// It is not a segment of this layout, or not sealed against being cut short.
    pub fn open(fd: OwnedFd, writable: bool) -> Result<Segment, Broken> {
        let seals =
            fcntl_get_seals(&fd).map_err(|_| Broken::Foreign("not a sealed memory file"))?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(Broken::Foreign("a memory file that could shrink under us"));
        }
        let bytes = usize::try_from(fstat(&fd)?.st_size).unwrap_or(0);
        if bytes < HEADER {
            return Err(Broken::Foreign("shorter than a segment's header"));
        }
        let segment = Segment::map(fd, bytes, writable)?;
        let header = segment.words(0, 8);
        if header[AT_MAGIC].load(Acquire) != MAGIC {
            return Err(Broken::Foreign("not a segment of megahertz"));
        }
        if header[AT_VERSION].load(Relaxed) != VERSION {
            return Err(Broken::Foreign("a segment of another version of megahertz"));
        }
        if header[AT_SIZE].load(Relaxed) != bytes as u64 {
            return Err(Broken::Foreign("a segment of another size than it says"));
        }
        Ok(segment)
    }

    fn map(fd: OwnedFd, bytes: usize, writable: bool) -> Result<Segment, Broken> {
        let protection =
            if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory; the
        // file is sealed against shrinking, so its pages stay.
        let base = unsafe { mmap(null_mut(), bytes, protection, MapFlags::SHARED, &fd, 0)? };
        Ok(Segment { base: at(base)?, bytes, writable, fd: Some(fd) })
    }

    fn begin(&self, parts: usize) {
        let header = self.words(0, 8);
        header[AT_VERSION].store(VERSION, Relaxed);
        header[AT_SIZE].store(self.bytes as u64, Relaxed);
        header[AT_PARTS].store(parts as u64, Relaxed);
        header[AT_NEXT].store(crate::directory::END as u64, Relaxed);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        header[AT_BEGAN].store(since.as_nanos() as u64, Relaxed);
        header[AT_SEED].store(RandomState::new().build_hasher().finish(), Relaxed);
        header[AT_MAGIC].store(MAGIC, Release);
    }

    /// The same number for the same bytes in all processes of this segment, and none that a peer
    /// could find collisions for: SipHash-1-3 behind a secret.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.words(0, 8)[AT_SEED].load(Relaxed));
        hasher.write(bytes);
        hasher.finish()
    }

    /// The descriptor to hand on; none for memory of this process alone.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// When it was made: since then everything in it has been counted; nanoseconds since 1970.
    pub fn began(&self) -> u64 {
        self.words(0, 8)[AT_BEGAN].load(Relaxed)
    }

    /// How many workers may write at once.
    pub fn parts(&self) -> usize {
        self.words(0, 8)[AT_PARTS].load(Relaxed) as usize
    }

    /// Whether it may be written: to one that is only looked at, a store is SIGSEGV.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Its length.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fresh zeros, for good.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<usize, Broken> {
        let bytes = bytes.next_multiple_of(LINE);
        let next = &self.words(0, 8)[AT_NEXT];
        let mut at = next.load(Relaxed);
        loop {
            let end = at.checked_add(bytes as u64).filter(|&end| end <= self.bytes as u64);
            let Some(end) = end else { return Err(Broken::Full) };
            match next.compare_exchange_weak(at, end, Relaxed, Relaxed) {
                Ok(_) => return Ok(at as usize),
                Err(seen) => at = seen,
            }
        }
    }

    /// The words from byte `at` on.
    ///
    /// # Panics
    /// They are not within the segment, or not aligned.
    pub(crate) fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        let fits = count.checked_mul(8).and_then(|bytes| bytes.checked_add(at));
        assert!(at % 8 == 0 && fits.is_some_and(|end| end <= self.bytes), "outside the segment");
        // SAFETY: within the mapping, which lives as long as `self`; aligned; atomics may be shared
        // with anybody, other processes included, and any bits are a valid value of theirs.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at / 8), count) }
    }
}

fn at(base: *mut c_void) -> Result<NonNull<AtomicU64>, Broken> {
    NonNull::new(base.cast()).ok_or(Broken::System(rustix::io::Errno::NOMEM))
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and every slice of it has borrowed `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// A named row of words in a segment.
#[derive(Clone)]
pub struct Block {
    segment: Arc<Segment>,
    at: usize,
    count: usize,
}

impl Block {
    pub(crate) fn new(segment: Arc<Segment>, at: usize, count: usize) -> Block {
        let _ = segment.words(at, count); // Panics here rather than later.
        Block { segment, at, count }
    }

    /// The same for what somebody else has written; none where it does not lie within.
    pub(crate) fn checked(segment: &Arc<Segment>, at: usize, count: usize) -> Option<Block> {
        let end = count.checked_mul(8)?.checked_add(at)?;
        let within = at % 8 == 0 && end <= segment.bytes();
        within.then(|| Block { segment: Arc::clone(segment), at, count })
    }

    /// All of them.
    pub fn words(&self) -> &[AtomicU64] {
        self.segment.words(self.at, self.count)
    }

    /// `N` of them from `first` on, where the way to them must cost nothing.
    ///
    /// # Panics
    /// There are not so many.
    pub(crate) fn hold<const N: usize>(&self, first: usize) -> Held<N> {
        let base = NonNull::from(&self.words()[first..first + N]).cast();
        Held { base, _block: self.clone() }
    }

    /// Whose they are.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }
}

/// Words of a block, found once.
pub(crate) struct Held<const N: usize> {
    base: NonNull<[AtomicU64; N]>,
    /// Keeps them mapped.
    _block: Block,
}

// SAFETY: the memory is only ever reached as atomics, and `_block` keeps it mapped.
unsafe impl<const N: usize> Send for Held<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Held<N> {}

impl<const N: usize> Held<N> {
    pub(crate) fn all(&self) -> &[AtomicU64; N] {
        // SAFETY: taken from a slice of N words, which stay mapped as long as `_block` lives.
        unsafe { self.base.as_ref() }
    }
}
