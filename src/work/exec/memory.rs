//! How it is told that a program ran out of memory: nobody says so outright.
//!
//! Under a limit of its own, an allocation fails and most programs end with words of which a few are common to all. When
//! the machine, or the group that a container puts around it, has no memory left, the kernel kills somebody, counts
//! that, and tells nobody whom it killed.

/// What programs and their runtimes write when an allocation fails; in small letters.
const WORDS: [&str; 9] = [
    "cannot allocate memory", // ENOMEM
    "out of memory",          // Perl, PHP, Go, Git, Node
    "memory exhausted",       // GNU tools
    "memoryerror",            // Python
    "outofmemoryerror",       // Java
    "nomemoryerror",          // Ruby
    "bad_alloc",              // C++
    "memory allocation of",   // Rust
    "failed to map segment",  // the dynamic loader
];

/// Whether the last words of a program are those of one whose memory was too small.
pub(super) fn is_blamed(tail: &str) -> bool {
    let tail = tail.to_lowercase();
    WORDS.iter().any(|words| tail.contains(words))
}

/// How many processes the kernel has killed so far for want of memory; `None` if it does not say.
pub(super) fn kernel_kills() -> Option<u64> {
    kills_in(&std::fs::read_to_string("/proc/vmstat").ok()?)
}

fn kills_in(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_told_from_others() {
        for tail in ["tail: memory exhausted", "x\nMemoryError", "fork: Cannot allocate memory\nbye"] {
            assert!(is_blamed(tail), "{tail}");
        }
        for tail in ["", "memory is fine", "no such file"] {
            assert!(!is_blamed(tail), "{tail}");
        }
    }

    #[test]
    fn the_kernels_count_is_found() {
        assert_eq!(kills_in("pgfault 7\noom_kill 12\noom_kill_x 3\n"), Some(12));
        assert_eq!(kills_in("pgfault 7\n"), None);
        assert!(kernel_kills().is_some(), "Linux has it since 4.13");
    }
}
