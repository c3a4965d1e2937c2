"""Questions that lean on what was said before, in English, French, German, Italian and Spanish.

A question leans when it begins in the middle ("And", "What about"), or points back ("it", "the same"). Patterns are matched on
small letters with their accents (``où`` is not ``ou``, ``è`` is not ``e``); German ones also tell ``sie`` (they) from ``Sie`` (you).

Not covered: pronouns that stand for nothing ("Is it possible ...") are known by a few phrases only; possessives ("its price")
count where a question has no other words of its own.
"""

import re

_PATTERNS = {
    "en": r"^(?:and|or|but|so|ok(?:ay)?|what about|how about|what if|why not|why)\b|^.{0,30}\b(?:the same|instead)\b"
    r"|\b(?:it|its|they|them|their|that|this|these|those|there|then|he|she)\b",
    "de": r"^(?:und|oder|aber|also|dann|warum|wieso|weshalb|was ist mit|wie ist es (?:mit|bei)|wie (?:steht|sieht) es)\b"
    r"|\b(?:der|die|das|den|dem)selben?\b|\bstattdessen\b"
    r"|\b(?<!gibt )(?<!wie ist )es\b(?! (?:möglich|erlaubt|nötig|eine?n?|noch|auch)\b)|\b(?:er|ihn|ihm)\b|(?<=\s)sie\b"
    r"|\bdies(?:e[mnrs]?)?\b|\b(?:dort|damit|dafür|davon|darin|dazu|dabei|darauf|daran|danach|darüber)\b"
    r"|\bdas\W*$|\b(?:geht|ist|kostet|dauert|funktioniert|gilt|heißt) das\b(?! [A-ZÄÖÜ])",
    "fr": r"^(?:et|mais|alors|donc|pourquoi|qu'en est-il)\b|^ou\b(?! (?:est|sont|se|puis|peut)\b)"
    r"|\b(?:le|la|les) mêmes?\b|\bà la place\b"
    r"|^(?!faut-|y a-t-|existe-t-|est-il (?:possible|permis|nécessaire|obligatoire))"
    r"(?:(?:combien|quand|comment|où|de|à|en|temps|jours|mois|quel(?:le)?s?|depuis) )*[^\W_]+-(?:t-)?(?:ils?|elles?)\b"
    r"|\b(?:celui|celle|ceux|celles)-(?:ci|là)\b|\b(?:cela|ça|là-dessus)\b|\bc'est\b"
    r"|(?<!-)\b(?:cet|cette|ces|ce)\b(?! (?:que|qui)\b)",
    "es": r"^(?:y|e|o|u|pero|entonces|por qué|qué tal|qué hay de)\b|\b(?:lo|el|la|los|las) mism[oa]s?\b|\ben su lugar\b"
    r"|\b(?:él|ell[ao]s?|est[oae]|est[oa]s|es[oae]|es[oa]s|aquell?[oa]?s?|allí|ahí)\b",
    "it": r"^(?:ed?|o|ma|allora|quindi|perché|che ne dici)\b(?!')(?! (?:possibile|vero|necessario)\b)"
    r"|\b(?:lo stesso|la stessa|gli stessi|le stesse)\b|\binvece\b"
    r"|\b(?:ess[oaie]|quest[oaie]|quell[oaie]|ciò|lì|là)\b",
}  # fmt: skip
_LEANS = {language: re.compile(pattern) for language, pattern in _PATTERNS.items()}
_STANDS_FOR = {  # for a thing that was named before, and not for nothing ("Is it possible ...", "How long does it take ...")
    "en": r"\b(?<!is )(?<!was )(?:it|they|them)\b(?! (?:takes?|rains?|snows?)\b)"
    r"|\b(?:is|was) it\b(?! (?:possible|allowed|okay?|necessary|required|true|worth|enough|better|too|still|a|an|the)\b)",
    "de": r"\b(?:ihn|ihm)\b|(?<=\s)sie\b|\b(?<!gibt )(?<!wie ist )(?<!regnet )(?<!geht )es\b"
    r"(?! (?:möglich|erlaubt|nötig|eine?n?|noch|auch|mit|um)\b)",
    "fr": r"\b(?:cela|ça)\b|^(?!faut-|y a-t-|existe-t-|est-il (?:possible|permis|nécessaire|obligatoire)).*[^\W_]-(?:t-)?(?:ils?|elles?)\b",
}
_STANDING = {language: re.compile(pattern) for language, pattern in _STANDS_FOR.items()}
_MARKS = "¿¡ \"'“”«»\u00a0\u202f"


def points_back(question: str, language: str) -> bool:
    """Whether the words of a question say that it needs what came before; in a language that is not known, as in English."""
    return bool(_LEANS.get(language, _LEANS["en"]).search(_cased(question, language)))


def stands_for(question: str, language: str) -> bool:
    """Whether a pronoun stands where the thing should that a question is about; in English, German and French."""
    pattern = _STANDING.get(language)
    return bool(pattern and pattern.search(_cased(question, language)))


def _cased(question: str, language: str) -> str:
    plain = question.strip(_MARKS).replace("’", "'")
    return plain[:1].lower() + plain[1:] if language == "de" else plain.lower()
