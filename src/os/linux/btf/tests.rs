//! Types made by hand, in C, by place and by question.

use super::made::Made;
use super::{Answer, NoAnswer, Part, TypeId, Types};

fn types(made: Made, big: bool) -> Types {
    Types::new(made.finish(), big, 8).unwrap()
}

#[test]
fn declarations_are_those_of_c() {
    for big in [false, true] {
        let mut m = Made::new(big);
        let int = m.int("int", 4, true);
        let char = m.int("char", 1, false);
        let constant = m.constant(char);
        let text = m.pointer(constant);
        let texts = m.array(text, int, 3);
        let table = m.array(texts, int, 2);
        let proto = m.prototype(int, &[("fmt", text), ("", 0)]);
        let call = m.pointer(proto);
        let calls = m.array(call, int, 0);
        let node = m.structure("node", 8, &[("next", 0, 0, 0)]);
        let to_node = m.pointer(node);
        let fixed = m.constant(to_node);
        let row = m.array(to_node, int, 4);
        let to_row = m.pointer(row);
        let none = m.prototype(0, &[]);
        let nested = m.prototype(call, &[("f", call), ("n", to_node)]);
        let nested = m.pointer(nested);
        let volatile = m.volatile(int);
        let t = types(m, big);
        for (id, name, expected) in [
            (int, "n", "int n"),
            (text, "s", "const char *s"),
            (table, "t", "const char *t[2][3]"),
            (call, "f", "int (*f)(const char *fmt, ...)"),
            (calls, "f", "int (*f[])(const char *fmt, ...)"),
            (fixed, "p", "struct node *const p"),
            (to_row, "p", "struct node *(*p)[4]"),
            (none, "f", "void f(void)"),
            (nested, "g", "int (*(*g)(int (*f)(const char *fmt, ...), struct node *n))(const char *fmt, ...)"),
            (volatile, "v", "volatile int v"),
            (0, "x", "void x"),
        ] {
            assert_eq!(t.declaration(TypeId(id), name), expected);
        }
        assert_eq!(
            (t.in_c(TypeId(call)), t.in_c(TypeId(text))),
            ("int (*)(const char *, ...)".replace("char *,", "char *fmt,"), "const char *".to_owned())
        );
    }
}

/// A structure with a bit-field, a hole, a union without a name and padding.
fn sample() -> Types {
    let mut m = Made::new(false);
    let int = m.int("int", 4, true);
    let long = m.int("long", 8, true);
    let inner = m.structure("", 8, &[("low", int, 0, 0), ("high", int, 32, 0)]);
    let both = m.union("", 8, &[("whole", long, 0, 0), ("", inner, 0, 0)]);
    let pair = m.array(inner, int, 2);
    // members with bit-fields have their width in the upper 8 bits
    let sample = m.structure(
        "sample",
        48,
        &[("a", int, 0, 3), ("b", int, 3, 2), ("", both, 64, 0), ("pairs", pair, 128, 0), ("last", int, 256, 0)],
    );
    let to = m.pointer(sample);
    m.structure("outer", 16, &[("first", long, 0, 0), ("to", to, 64, 0)]);
    m.typedef("sample_t", sample);
    m.forward("later", false);
    m.structure("twice", 4, &[("a", int, 0, 0)]);
    m.structure("twice", 8, &[("b", long, 0, 0)]);
    types(m, false)
}

#[test]
fn parts_have_places_and_holes() {
    let t = sample();
    let parts = t.parts(t.structure("sample").unwrap());
    let flat: Vec<String> = parts
        .iter()
        .map(|p| match p {
            Part::Hole { bit, bits } => format!("{bit} hole {bits}"),
            Part::Member(m) => format!("{} {}{{{}}}{}", m.bit, m.opening, m.parts.len(), m.declaration),
        })
        .collect();
    assert_eq!(
        flat,
        [
            "0 {0}int a:3",
            "3 {0}int b:2",
            "5 hole 59",
            "64 union{2}",
            "128 struct{2}pairs[2]",
            "256 {0}int last",
            "288 hole 96"
        ]
    );
    let Some(Part::Member(union)) = parts.get(3) else { panic!() };
    let Some(Part::Member(inner)) = union.parts.get(1) else { panic!() };
    let Some(Part::Member(high)) = inner.parts.get(1) else { panic!() };
    assert_eq!((high.bit, high.bytes, high.name.exact()), (96, Some(4), "high"));
}

#[test]
fn questions_have_answers() {
    let t = sample();
    let at = |q: &str| match t.ask(q).unwrap() {
        Answer::At { found, .. } => {
            found.iter().map(|f| format!("{}@{}+{:?}", f.path, f.offset, f.bytes)).collect::<Vec<_>>()
        }
        a => panic!("{a:?}"),
    };
    assert_eq!(at("sample+0"), ["a@0+Some(1)", "b@0+Some(1)"]);
    assert_eq!(at("struct sample+0x3"), ["@1+Some(7)"]);
    assert_eq!(at("sample + 13"), ["whole@8+Some(8)", "high@12+Some(4)"]);
    assert_eq!(at("sample_t+0x1c"), ["pairs[1].high@28+Some(4)"]);
    assert_eq!(at("sample+40"), ["@36+Some(12)"]);
    let member = |q: &str| match t.ask(q).unwrap() {
        Answer::Member { of, path, bit, width, .. } => (t.in_c(of), path.to_string(), bit, width),
        a => panic!("{a:?}"),
    };
    assert_eq!(member("sample.high"), ("struct sample".to_owned(), "high".to_owned(), 96, 0));
    assert_eq!(member("sample.b"), ("struct sample".to_owned(), "b".to_owned(), 3, 2));
    // a pointer leads to another structure
    assert_eq!(member("outer.to.last"), ("struct sample".to_owned(), "last".to_owned(), 256, 0));
    let count = |q: &str| match t.ask(q).unwrap() {
        Answer::Types(ids) => ids.len(),
        a => panic!("{a:?}"),
    };
    assert_eq!((count("twice"), count("sample_t"), count("later"), count("struct outer")), (2, 1, 1, 1));
    for (q, why) in [
        ("nothing", "the kernel has no type \"nothing\""),
        ("union sample", "the kernel has no type \"union sample\""),
        ("sample.none", "struct sample has no member none"),
        ("sample.last.x", "int has no member x"),
        ("sample+0x30", "expected an offset below 0x30, the size of struct sample, found 0x30"),
        ("later+0", "struct later has no size"),
        ("sample+ten", "expected an offset such as 0x10 after +, found \"ten\""),
        ("+1", "expected the name of a type, found \"+1\""),
        ("", "expected the name of a type, found \"\""),
    ] {
        assert_eq!(t.ask(q).unwrap_err().to_string(), why, "{q}");
    }
    assert!(matches!(t.ask("sample.c"), Err(NoAnswer::Member { .. })));
}

#[test]
fn a_short_name_is_found_among_those_that_end_with_it() {
    let mut m = Made::new(false);
    let int = m.int("int", 4, true);
    for n in 0..300 {
        m.typedef(&format!("t{n}s"), int);
    }
    m.structure("s", 4, &[("a", int, 0, 0)]);
    let t = types(m, false);
    assert_eq!(t.in_c(t.structure("s").unwrap()), "struct s");
    assert_eq!(t.by_words("s"), t.structure("s"));
}

/// Types that lead to themselves, and prototypes that double with each level.
#[test]
fn types_that_lie_have_an_end() {
    let mut m = Made::new(false);
    let next = |m: &Made, n: u32| m.len() + n;
    // a pointer to itself, a typedef of itself, an array of itself
    let own = next(&m, 1);
    assert_eq!(m.pointer(own), own);
    let own = next(&m, 1);
    m.typedef("own", own);
    let array = next(&m, 1);
    m.array(array, array, 100_000);
    // a structure without a name that contains itself
    let inside = next(&m, 1);
    m.structure("", 8, &[("", inside, 0, 0), ("", inside, 0, 0), ("x", inside, 0, 0)]);
    m.structure("holder", 8, &[("", inside, 0, 0), ("a", inside, 0, 0)]);
    let mut proto = m.prototype(0, &[]);
    for _ in 0..40 {
        let to = m.pointer(proto);
        proto = m.prototype(to, &[("a", to), ("b", to), ("c", to)]);
    }
    m.function("many", proto);
    let t = types(m, false);
    for (id, _) in t.iter() {
        assert!(t.in_c(id).len() < 1 << 20);
        let _ = (t.parts(id).len(), t.at_offset(id, 0).len(), t.size(id));
    }
    for q in ["own", "holder", "many", "holder+0", "holder.a.a.a", "own+1"] {
        let _ = t.ask(q);
    }
}
