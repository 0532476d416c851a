//! Schedules that a program registers beside its jobs.

use super::trial::installed;
use serde_json::json;

#[test]
fn a_schedule_of_a_pack_is_there_and_the_file_can_take_its_place() {
    let here = installed("workers = 1\n");
    assert_eq!(here.json(&["next", "yearly", "-n", "3"]).as_array().unwrap().len(), 3, "before any tick");
    here.run(&["tick"]).well();
    let seen = here.json(&["schedules"]);
    let words = |key: &str| seen[0][key].as_str().unwrap().to_string();
    assert_eq!((words("name"), words("origin"), words("job")), ("yearly".into(), "pack".into(), "note".into()));
    assert_eq!(words("param"), "\"{date}\"");
    let said = here.run(&["schedule", "remove", "yearly"]);
    assert!(said.code == Some(2) && said.err.contains("a pack has it"), "{said:?}");
    here.write("rowmill.toml", "[[schedule]]\nname = \"yearly\"\ncron = \"@daily\"\njob = \"note\"\nenabled = false\n");
    here.run(&["tick"]).well();
    let seen = here.json(&["schedules"]);
    assert_eq!(
        (seen.as_array().unwrap().len(), &seen[0]["origin"], &seen[0]["next_at"]),
        (1, &json!("file"), &json!(null))
    );
    here.write("rowmill.toml", "");
    here.run(&["tick"]).well();
    assert_eq!(here.json(&["schedules"])[0]["origin"], "pack");
}
