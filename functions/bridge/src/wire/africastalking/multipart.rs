//! A form of several parts (`multipart/form-data`), as frameworks write it.

/// The longest boundary that is read, in bytes. The standard allows 70.
const MAX_BOUNDARY_BYTES: usize = 200;

/// The fields of the parts, in their order. `None` when the text is no such form.
///
/// The first line shows the boundary, so that no content type is needed for it.
pub fn read(text: &str) -> Option<Vec<(String, String)>> {
    let text = text.trim_start();
    let boundary = text.lines().next()?.trim_end();
    if !boundary.starts_with("--") || boundary.len() > MAX_BOUNDARY_BYTES {
        return None;
    }
    let parts = text.split(boundary);
    let fields: Vec<(String, String)> = parts.filter_map(field).collect();
    (!fields.is_empty()).then_some(fields)
}

/// The name and the value of one part. `None` when it has no name.
fn field(part: &str) -> Option<(String, String)> {
    let part = without_first_line_end(part)?;
    let (headers, value) = part
        .split_once("\r\n\r\n")
        .or_else(|| part.split_once("\n\n"))?;
    let name = headers.lines().find_map(name)?;
    let value = value
        .strip_suffix("\r\n")
        .or_else(|| value.strip_suffix('\n'))
        .unwrap_or(value);
    Some((name, value.to_owned()))
}

fn without_first_line_end(part: &str) -> Option<&str> {
    part.strip_prefix("\r\n")
        .or_else(|| part.strip_prefix('\n'))
}

/// The name in the header `Content-Disposition: form-data; name="id"`.
fn name(header: &str) -> Option<String> {
    let (header, value) = header.split_once(':')?;
    if !header.trim().eq_ignore_ascii_case("content-disposition") {
        return None;
    }
    value.split(';').find_map(|parameter| {
        let (parameter, value) = parameter.split_once('=')?;
        let is_name = parameter.trim().eq_ignore_ascii_case("name");
        is_name.then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: &str = "--X7a\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\na\r\n\
        --X7a\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; NAME=text\r\n\r\n\
        b\r\n\r\n c\r\n--X7a--\r\n";

    #[test]
    fn each_part_is_a_field_with_its_value_unchanged() {
        let expected = |end: &str| {
            Some(vec![
                ("id".to_owned(), "a".to_owned()),
                ("text".to_owned(), format!("b{end}{end} c")),
            ])
        };
        assert_eq!(read(FORM), expected("\r\n"));
        assert_eq!(read(&FORM.replace("\r\n", "\n")), expected("\n"));
        assert_eq!(read(&format!("\r\n{FORM}")), expected("\r\n"));
    }

    #[test]
    fn what_is_no_form_of_several_parts_is_none() {
        for text in [
            "",
            "id=a",
            "--",
            "--X7a\r\n--X7a--",
            "--X7a\r\nid=a\r\n\r\n--X7a--",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(--|a|\r\n|:|;|=|\"|name|content-disposition){0,40}") {
            let _ = read(&text);
        }
    }
}
