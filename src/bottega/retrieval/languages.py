"""Function words and endings of the seven languages of a brief, accents folded."""

_FUNCTION_WORDS: dict[str, str] = {
    "en": (
        "a an and are as at be been but by can do does for from had has have how i if in into is it its "
        "may more my no not of on or our so such than that the their them then there these they this to "
        "was we were what when where which who why will with would you your"
    ),
    "fr": (
        "a au aux avec ce ces cette comme comment dans de des du elle elles en est et etre il ils je la "
        "le les leur lui ma mais me mes mon ne nos notre nous on ou par pas peut plus pour pourquoi quand "
        "que quel quelle quelles quels qui sa se ses si son sont sur ta te tu un une vos votre vous y"
    ),
    "de": (
        "aber als am an auch auf aus bei bis da das dass dem den der des die dies diese dieser du durch "
        "ein eine einem einen einer eines er es fur haben hat ich ihr im in ist kann konnen man mehr mein "
        "mit nach nicht noch nur oder sich sie sind so uber um und uns unser vom von vor wann warum was "
        "welche welcher welches wenn wer werden wie wir wird wo zu zum zur"
    ),
    "es": (
        "a al como con cual cuales cuando cuanto de del donde el ella en entre es esta este esto estos "
        "fue ha hay la las le lo los mas me mi muy no nos o para pero por porque puede que quien se ser "
        "si sin sobre son su sus tambien te tiene un una uno y ya yo"
    ),
    "it": (
        "a ai al alla alle anche che chi ci come con cosa da dal dalla de dei del della delle di dove e "
        "ed gli ha hanno i il in io la le lo ma mi nel nella non o per perche piu puo quale quali quando "
        "quanto se si sono su sua sul suo tra un una uno"
    ),
    "pt": (
        "a ao aos as com como da das de do dos e ela ele em entre essa esse esta este eu foi ha isso ja "
        "mais mas muito na nao nas no nos o onde os ou para pela pelo pode por porque quais qual quando "
        "quanto que quem sao se sem ser seu sua tem um uma"
    ),
    "nl": (
        "aan al als bij dan dat de deze die dit doen door een en er geen had heb hebben heeft het hij hoe "
        "hun ik in is je kan kunnen maar me meer met mijn na naar niet nog of om ons ook op over te tot "
        "uit uw van veel voor waar waarom was wat we wel welke werd wie wij worden zal ze zich zij zijn "
        "zo zou"
    ),
}

# Endings of nouns, adjectives and common verb forms, longest first; after Savoy's light stemmers (UniNE, 2006),
# reduced to what stripping one ending can do.
_ENDINGS: dict[str, str] = {
    "en": ("ations nesses ation ments ness ment ings est ing ies ied ers es ed er ly s e y"),
    "fr": (
        "issements issement ements ations ement ation ables euses aient able euse ives eurs eaux ions ive "
        "eur eux aux ent ees ant ait era ez er es ee if al s e x"
    ),
    "de": ("heiten keiten ungen heit keit lich isch ung ern end en er es em et st e n s t"),
    "es": (
        "amientos imientos aciones amiento imiento adoras adores mente acion adora ables iendo ador able "
        "ando aron ados adas idos idas ado ada ido ida oso osa es os as ar er ir an en s a o e"
    ),
    "it": (
        "azioni azione amento amenti mente abili abile ando endo ati ate ato ata uti uto are ere ire ano "
        "ono a e i o"
    ),
    "pt": (
        "amentos amento acoes mente aveis acao avel ando endo ados adas idos ado ada ido ida oes ar er ir "
        "es os as am em s a o e"
    ),
    "nl": ("heden ingen heid lijk ende ing en er es de te e s t"),
}

STOPWORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split()) for code, words in _FUNCTION_WORDS.items()
}
ENDINGS: dict[str, tuple[str, ...]] = {code: tuple(endings.split()) for code, endings in _ENDINGS.items()}
