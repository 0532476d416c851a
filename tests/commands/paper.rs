//! Completion scripts and manual pages: made without a configuration or a database, with every command in them.

use crate::installation::Installation;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let here = Installation::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = here.run(&["completions", shell]).well();
        assert!(["enqueue", "restart", "prune"].iter().all(|word| script.contains(word)), "{shell}");
    }
    assert_eq!(here.run(&["completions", "cobol"]).code, Some(2));
    assert!(std::fs::read_dir(here.folder()).unwrap().next().is_none(), "nothing is made by it");
}

#[test]
fn the_manual_page_is_one_and_so_is_that_of_a_command() {
    let here = Installation::empty();
    let page = here.run(&["man"]).well();
    assert!(page.contains(".TH rowmill 1") && page.contains("scale") && page.contains("Exit codes"), "{page}");
    let page = here.run(&["man", "enqueue"]).well();
    assert!(page.contains("max\\-attempts") && page.contains(".SH NAME"), "{page}");
    let said = here.run(&["man", "nothing"]);
    assert!(said.code == Some(2) && said.err.contains("no command `nothing`"), "{said:?}");
}
