//! The page that lists the laws has exactly those that are examined.

use rowmill::store::sqlite::laws;

#[test]
fn the_page_of_guarantees_lists_the_laws_as_they_are_examined() {
    let page = include_str!("../../docs/guarantees.md");
    let mut table = String::from("| law | what holds | if not | what to do |\n|---|---|---|---|\n");
    for law in laws() {
        table += &format!("| `{}` | {} | {} | {} |\n", law.name, law.sentence, law.severity.word(), law.remedy);
    }
    assert!(page.contains(&table), "docs/guarantees.md is to have this table:\n{table}");
}
