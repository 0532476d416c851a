//! Cron expressions in plain language.

use super::grammar::Fields;

/// What the fields say.
pub(super) fn fields(_: &Fields) -> String {
    "by a cron expression".to_string()
}
