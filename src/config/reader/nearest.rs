//! Suggestions for misspelt words.

/// The known word that `text` was probably meant to be, as a help text.
pub(in crate::config) fn did_you_mean<'w>(
    text: &str,
    words: impl Iterator<Item = &'w str>,
) -> Option<String> {
    nearest(text, words).map(|word| format!("did you mean `{word}`?"))
}

/// The known word nearest to `text`, if one is near: a third of its letters may differ, or one may
/// be the other's start.
pub(in crate::config) fn nearest<'w>(
    text: &str,
    words: impl Iterator<Item = &'w str>,
) -> Option<&'w str> {
    let lower = text.to_ascii_lowercase().replace('-', "_");
    let far = |word: &str| {
        let plain = word.to_ascii_lowercase().replace('-', "_");
        let distance = strsim::osa_distance(&plain, &lower);
        let part = lower.len() >= 3
            && (plain.starts_with(&lower) || (plain.len() >= 3 && lower.starts_with(&plain)));
        if part { distance.min(1) } else { distance }
    };
    let near = words
        .map(|word| (far(word), word))
        .min_by_key(|(distance, _)| *distance);
    // A word of one or two letters is near to everything.
    near.filter(|(distance, word)| *distance <= (word.len() / 3).min(3))
        .map(|(_, word)| word)
}
