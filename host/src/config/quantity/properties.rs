//! Quantities are read as they are written.

use chance::cases;

use super::*;

#[test]
fn what_is_written_is_read_back() {
    cases(2_000, |chance| {
        let number = chance.number().unsigned_abs();
        let duration = Duration::from_millis(number);
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        if let Ok(size) = usize::try_from(number) {
            assert_eq!(parse_size(&format_size(size)), Ok(size));
        }
        let share = u32::try_from(chance.within(1..10_001)).expect("a share");
        assert_eq!(parse_percent(&format_percent(share)), Ok(share));
    });
}

#[test]
fn any_text_is_a_quantity_or_told_to_be_none() {
    cases(4_000, |chance| {
        let text = match chance.within(0..2) {
            0 => chance.text(8),
            _ => {
                let text = format!(
                    "{}{}",
                    chance.number(),
                    chance.pick(&["ms", "h", "GiB", "%", ".5%"])
                );
                chance.damaged(&text)
            }
        };
        let told = [
            parse_duration(&text).err(),
            parse_size(&text).err(),
            parse_percent(&text).err(),
        ];
        assert!(told.iter().flatten().all(|problem| !problem.is_empty()));
        // No text is two of them.
        assert!(told.iter().flatten().count() >= 2, "{text:?}");
    });
}
