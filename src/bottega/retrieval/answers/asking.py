"""Words of asking in English, German, French, Spanish and Italian: what a question wants, and what in it is no subject.

Patterns are matched on folded text (`retrieval.words.fold`): small letters without accents.
"""

import re
from collections.abc import Iterator

from bottega.checks.quantities import MONEY
from bottega.checks.quoting import names
from bottega.retrieval.languages import STOPWORDS
from bottega.retrieval.words import fold, guess_language

_TIME = frozenset({"time", "months"})
_OF_MONEY = (
    r"how much|\bcosts?\b|\bprices?\b|\bexpensive\b"
    r"|wie ?viel (?:kostet|kosten|zahle|zahlt)|\bkostet\b|\bkosten\b|\bpreise?\b|wie teuer"
    r"|combien (?:coute|coutent|vaut|valent|ca)|\bcoute(?:nt)?\b|\bprix\b|\btarifs?\b|\bcouts?\b"
    r"|\bcuestan?\b|\bprecios?\b|\bcuanto valen?\b|\bcostes?\b"
    r"|\bcosta(?:no)?\b|\bprezz[oi]\b|quanto viene"
)
_OF_TIME = (
    r"how long|how many (?:days|weeks|months|years)"
    r"|wie lange|wie ?viele? (?:tage|wochen|monate|jahre)"
    r"|combien de (?:temps|jours|semaines|mois|annees|ans)|quelle est la duree"
    r"|cuanto (?:tiempo|dura|duran|tarda|tardan)|cuantos (?:dias|meses|anos)|cuantas semanas"
    r"|quanto (?:tempo|dura|durano|ci vuole)|quanti (?:giorni|mesi|anni)|quante settimane"
)
_OF_MASS = (
    r"how heavy|\bweight\b|\bweigh\b|wie schwer|\bgewicht\b|\bwieg(?:t|en)\b|\bpoids\b|\bpese(?:nt)?\b"
    r"|\bpesan?\b|\bpesano\b|\bpeso\b"
)
WANTED = (
    (re.compile(_OF_MONEY), MONEY),
    (re.compile(_OF_TIME), frozenset({"time", "months"})),
    (re.compile(_OF_MASS), frozenset({"mass"})),
)

# They say what kind of answer is wanted, and sources answer in other words.
_ASKING = {
    "en": "much many long often far soon please tell know get got need want say happen possible able allow there any some someone anybody "
    "also too very just only way ways method methods cost price pay charge take give make use work offer mean one thing like happened available currently exactly",
    "de": "viel viele wieviel wieviele lang lange oft weit bald bitte sagen wissen bekomme bekommen brauche brauchen will wollen mochte mochten gibt "
    "geben moglich erlaubt jemand etwas auch sehr nur genau gerade derzeit aktuell weg art kosten kostet preis preise hoch teuer zahle zahlt zahlen "
    "bezahlen nehmen nutzen benutzen verwenden funktioniert bieten bietet anbieten denn mal ding sache muss mussen soll darf macht machen dauert gilt "
    "betragt hat habe sie ihnen ihre",
    "fr": "combien temps longtemps souvent loin bientot plait dire savoir obtenir besoin veux voulez vouloir possible permis peux pouvez quelqu quelque "
    "aussi tres trop seulement juste maniere facon methode cout coute coutent prix tarif payer prendre donner faire fait font utiliser marche offrir "
    "offrez chose disponible actuellement exactement faut dois doit devez existe avez ont dure durent duree",
    "es": "mucho mucha muchos cuanto cuanta cuantos cuantas tiempo largo frecuencia lejos pronto favor decir saber obtener necesito necesita quiero quiere "
    "pasa posible permitido puedo pueden podemos alguien algo tambien demasiado solo manera forma metodo cuesta cuestan coste costo precio precios pagar "
    "tomar dar hacer usar funciona ofrecer ofrecen cosa disponible actualmente exactamente debo debe hace dura duran tarda tardan existe tengo tienen vale valen",
    "it": "qual molto molta quanto quanta quanti quante tempo lungo spesso lontano presto favore dire sapere ottenere bisogno voglio vuole possibile permesso posso "
    "possono qualcuno qualcosa troppo solo proprio modo metodo costa costano costo prezzo prezzi pagare prendere dare fare usare funziona offrire offrite "
    "cosa disponibile attualmente esattamente devo deve dura durano esiste avete vale viene vuole",
}  # fmt: skip
ASKING = {language: frozenset(words.split()) for language, words in _ASKING.items()}

# Before a name at the beginning of a sentence. In German every noun has a capital, so one alone is no name there.
_ONE = r"[A-Z][\w-]*"
NAMED_FIRST = re.compile(
    rf"(?:The|Le|La|Les|El|Los|Las|Il|Lo|Gli) ({_ONE}(?: {_ONE})*)"
    rf"|(?:(?:Der|Die|Das) )?(?!(?:Der|Die|Das) )({_ONE}(?: {_ONE})+)"
)

# A source's sentence that talks to a model, in the other languages than English.
INSTRUCTION = re.compile(
    r"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*)\b.{0,40}\b(?:anweisung|regel|vorgabe|prompt|bisherige|vorherige|obige)\w*"
    r"|\b(?:ignore[rz]?|oublie[rz]?|ne tiens? pas compte)\b.{0,40}\b(?:instructions?|regles?|consignes?|precedente?s?|ci-dessus)\b"
    r"|\b(?:ignora|ignore|olvida|olvide)\b.{0,40}\b(?:instruccion(?:es)?|reglas?|indicaciones|anteriore?s?)\b"
    r"|\b(?:ignora|ignorate|dimentica|dimenticate)\b.{0,40}\b(?:istruzion[ei]|regol[ae]|precedent[ei])\b"
    r"|\bdu bist (?:jetzt|nun|nicht mehr|eine? (?:ki|sprachmodell|assistent))\b|\btu es (?:maintenant|desormais|un (?:assistant|modele))\b"
    r"|\beres (?:ahora|un (?:asistente|modelo))\b|\b(?:ora|adesso) sei\b|\bsei un (?:assistente|modello)\b"
    r"|\bantworte (?:nur )?mit\b|\breponds (?:seulement |uniquement )?par\b|\bresponde (?:solo |unicamente )?con\b|\brispondi (?:solo |soltanto )?con\b"
)

_RUN = re.compile(r"[^\W\d_a-zß-öø-ÿ][\w&+-]*(?: [^\W\d_a-zß-öø-ÿ][\w&+-]*)*")
_PLACED = re.compile(r"\b(?:nach|in|aus|von|bei) ([A-ZÄÖÜ][\w&+-]*)")


def wanted(question: str) -> frozenset[str]:
    """The kinds of amounts that a question asks for; empty when it asks for none."""
    folded = fold(question)
    return next((kinds for pattern, kinds in WANTED if pattern.search(folded)), frozenset[str]())


def asked_names(question: str) -> list[str]:
    """The names in a question.

    German writes every noun with a capital: there, names are words beside another capital, with a capital inside, or right after
    a preposition of place or origin.
    """
    found = list(names(question))
    if guess_language([question]) != "de":
        return found
    kept = set(_PLACED.findall(question)) | set(_beside(question))
    return [name for name in found if name in kept or any(letter.isupper() for letter in name[1:])]


def _beside(question: str) -> Iterator[str]:
    for match in _RUN.finditer(question):
        run = [word for word in match[0].split() if not _is_asking(fold(word))]
        if len(run) > 1:
            yield from run


def _is_asking(word: str) -> bool:
    return word in STOPWORDS["de"] or word in ASKING["de"]
