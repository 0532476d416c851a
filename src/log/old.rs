//! Taking away the files of old days.

use super::day;
use chrono::NaiveDate;
use std::path::Path;

/// Removes the day files of `dir` from before `date`, and nothing else that lies there; with `dry` only counts them.
/// Answers how many. A folder that cannot be read has none; a file that cannot be removed is left to the next time.
pub fn remove_old(dir: &Path, date: NaiveDate, dry: bool) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let is_old = |name: &str| day::date_of(name).is_some_and(|day| day < date);
    let old = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_old));
    old.filter(|entry| dry || std::fs::remove_file(entry.path()).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["rowmill-2026-11-01.log", "rowmill-2026-11-02.log", "rowmill-2026-11-01.txt", "other.log"];
        for name in names {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let date = NaiveDate::from_ymd_opt(2026, 11, 2).unwrap();
        assert_eq!((remove_old(dir.path(), date, true), remove_old(dir.path(), date, false)), (1, 1));
        let left: Vec<bool> = names.iter().map(|name| dir.path().join(name).exists()).collect();
        assert_eq!(left, [false, true, true, true]);
        assert_eq!(remove_old(&dir.path().join("nowhere"), date, false), 0);
    }
}
