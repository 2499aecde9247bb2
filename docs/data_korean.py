"""The words of the tables on the page about data, in Korean."""

KOREAN = {
    # Keys of recipes.
    "Key": "키",
    "Type": "형",
    "Must be there": "필수",
    "What it says": "뜻",
    "yes": "예",
    "no": "아니요",
    "str": "문자열",
    "float": "실수",
    "int": "정수",
    "list": "목록",
    "dict": "테이블",
    "name of the dataset": "데이터셋의 이름",
    "its title": "제목",
    "what it is, in a sentence or two": "무엇인지 한두 문장으로",
    "what it is for": "무엇에 쓰는지",
    "list: what it lacks, as far as is known": "목록: 알려진 빈틈",
    "share of each licence and language that is validation, above 0 and below 1": (
        "라이선스와 언어마다 검증용으로 떼는 비율, 0보다 크고 1보다 작음"
    ),
    "why it was made": "왜 만들었는지",
    "who answers for it": "누가 책임지는지",
    "table: each licence that is allowed (SPDX), and the config that publishes its documents": (
        "테이블: 허용하는 라이선스(SPDX)와 그 문서를 공개할 config"
    ),
    "table: licences that are known and not wanted, and why": "테이블: 알지만 쓰지 않는 라이선스와 그 이유",
    "path of the recipe of texts to evaluate on; goes with the step decontaminate": (
        "평가용 텍스트의 레시피 경로. decontaminate 단계와 함께 씀"
    ),
    "list: the steps in their order, each with its parameters": "목록: 단계를 순서대로, 매개변수와 함께",
    "list: what is not released": "목록: 공개하지 않는 것",
    "list: where texts come from": "목록: 텍스트의 출처",
    "name of the source; LICENSES/NAME.copyright lies beside the recipe": (
        "출처의 이름. 레시피 옆에 LICENSES/이름.copyright를 둠"
    ),
    "version of the package": "패키지의 버전",
    "SPDX identifier of texts that state none of their own; empty: such texts are dropped": (
        "스스로 밝히지 않은 텍스트의 SPDX 식별자. 비어 있으면 그런 텍스트는 버림"
    ),
    "whom to credit": "저작자 표시",
    "apt, pip or npm": "apt, pip, npm 가운데 하나",
    "name of the package file": "패키지 파일의 이름",
    "hash that the package file must have": "패키지 파일이 가져야 할 해시",
    "how text is taken out of a file": "파일에서 텍스트를 꺼내는 방법",
    "path in the package of the text that states the licence": "패키지 안에서 라이선스를 밝힌 글의 경로",
    "table: a language, and its files": "테이블: 언어와 그 파일",
    "least size of a text": "텍스트의 최소 크기",
    "greatest size of a text": "텍스트의 최대 크기",
    "regular expression: files whose path has it are left out": "정규식: 경로에 이것이 있는 파일은 뺌",
    "regular expression: texts that have it are left out": "정규식: 이것이 있는 텍스트는 뺌",
    "paths in the package; `*` is any characters, `|` stands between several": (
        "패키지 안의 경로. `*`는 아무 글자들, 여럿이면 `|`로 나눔"
    ),
    "bytes of all texts together; more is thinned out evenly, by hashes": (
        "모든 텍스트를 합한 바이트. 넘으면 해시에 따라 고르게 솎음"
    ),
    "why; the card says it": "이유. 카드에 그대로 실림",
    "documents under this licence": "이 라이선스의 문서",
    "documents in this language": "이 언어의 문서",
    "documents of this source": "이 출처의 문서",
    "this much is released all the same, in the order of hashes": "해시 순서로 이만큼은 공개함",
    # Columns.
    "Column": "열",
    "What it holds": "내용",
    "First 16 hex digits of sha256: the name of the document.": "sha256의 앞 16자리. 문서의 이름",
    "The text.": "텍스트",
    "ISO 639 code; `code` is program text.": "ISO 639 코드. `code`는 프로그램 코드",
    "The package that the text comes from.": "텍스트가 들어 있던 패키지",
    "The package's version.": "패키지의 버전",
    "The file in the package.": "패키지 안의 파일",
    "SPDX identifier of the licence of this document.": "이 문서의 라이선스(SPDX 식별자)",
    "SHA-256 of the text in UTF-8.": "UTF-8 텍스트의 SHA-256",
    "The steps that changed the text.": "텍스트를 바꾼 단계",
    # Rules of steps.
    "Rule": "규칙",
    "Why": "이유",
    "Paper": "논문",
    "undecodable characters (U+FFFD)": "디코딩하지 못한 글자(U+FFFD)",
    "fewer than 3, or at most 0.1% of the text": "3개 미만이거나 텍스트의 0.1% 이하",
    "a decoder gave up there, and what stood there is lost": "디코더가 포기한 자리이고, 원래 글자는 사라졌음",
    "accented Latin letters and signs (ko, ja, zh)": "강세 붙은 로마자와 기호(ko, ja, zh)",
    "at most 20% of the text": "텍스트의 20% 이하",
    "EUC-KR, Shift JIS or GBK read as Latin-1, which cannot be turned back": (
        "EUC-KR, Shift JIS, GBK를 Latin-1로 잘못 읽은 것으로, 되돌릴 수 없음"
    ),
    "share written in the language's own script": "그 언어의 문자로 쓴 비율",
    "ko: >= 0.25, ja: >= 0.25, zh: >= 0.25, es: >= 0.5, en: >= 0.5": (
        "ko: >= 0.25, ja: >= 0.25, zh: >= 0.25, es: >= 0.5, en: >= 0.5"
    ),
    "a page that nobody translated has a heading and some names in it; translated manuals lie above 0.5": (
        "번역되지 않은 쪽에는 제목과 이름 몇 개뿐이고, 번역된 설명서는 0.5를 넘음"
    ),
    "share of kana among kana and Han (ja, zh)": "가나와 한자 가운데 가나의 비율(ja, zh)",
    "ja: >= 0.1; zh: below it": "ja: >= 0.1, zh: 그 아래",
    "Japanese without kana is a list of names; Chinese has kana in examples only": (
        "가나 없는 일본어는 이름 목록이고, 중국어에서 가나는 예시에만 나옴"
    ),
    "identified as the claimed language (languages in Latin script, and others)": (
        "밝힌 언어로 판별됨(로마자를 쓰는 언어와 그 밖의 언어)"
    ),
    "unless another is at least 0.5 likely and it less than 0.2": (
        "다른 언어일 확률이 0.5 이상이고 밝힌 언어일 확률이 0.2 미만이면 버림"
    ),
    "decides with 60 letters or more; technical texts are full of foreign words": (
        "글자 60개부터 판단함. 기술 문서에는 외국어가 많음"
    ),
    "words, or characters of ko, ja and zh": "단어 수, ko·ja·zh는 글자 수",
    "a help page may be two sentences": "도움말은 두 문장일 수도 있음",
    "words or characters": "단어 수 또는 글자 수",
    "as published; a word is about two Chinese, three Japanese characters": (
        "논문대로. 단어 하나는 중국어 두 글자, 일본어 세 글자쯤임"
    ),
    "mean length of words": "단어의 평균 길이",
    "as published; no words in ko, ja and zh": "논문대로. ko·ja·zh는 단어로 세지 않음",
    "number signs, and ellipses, per word or character": "단어나 글자당 #과 줄임표",
    "as published": "논문대로",
    "share of words with a letter": "글자가 있는 단어의 비율",
    "manuals name sizes, versions and codes": "설명서에는 크기, 버전, 코드가 많음",
    "two of these must be there": "이 가운데 둘이 있어야 함",
    "as published; the commonest Spanish ones; ko, ja, zh: none": (
        "논문대로. 스페인어는 가장 흔한 단어들, ko·ja·zh에는 없음"
    ),
    "share of lines that begin with a bullet": "글머리표로 시작하는 줄의 비율",
    "share of lines that end with an ellipsis": "줄임표로 끝나는 줄의 비율",
    "share of lines that end a sentence": "문장이 끝나는 줄의 비율",
    "not applied: messages of programs, captions and items of lists have no full stop": (
        "쓰지 않음. 프로그램의 메시지, 그림 설명, 목록에는 마침표가 없음"
    ),
    "share of lines of `short_line` characters or fewer": "`short_line`글자 이하인 줄의 비율",
    "lists of options and messages are short lines; drops lists of names alone": (
        "옵션과 메시지의 목록은 줄이 짧음. 이름만 늘어놓은 것을 버림"
    ),
    "line breaks per word or character": "단어나 글자당 줄바꿈",
    "synopses and menus break often": "사용법과 메뉴는 줄을 자주 바꿈",
    "share of lines that stood before": "앞에 나온 줄의 비율",
    "share of characters in them": "그 안의 글자 비율",
    "as published; FineWeb's 0.01 drops manuals": "논문대로. FineWeb의 0.01은 설명서를 버림",
    "share of paragraphs that stood before": "앞에 나온 문단의 비율",
    "share of characters in the most frequent run": "가장 잦은 연속이 차지하는 글자 비율",
    "as published; runs of characters twice as long": "논문대로. 글자의 연속은 두 배 길게",
    "share of characters in runs that stood before": "앞에 나온 연속이 차지하는 글자 비율",
    "twice the published: references say 'Changed in version' again and again and are right to": (
        "논문의 두 배. 레퍼런스 문서가 'Changed in version'을 되풀이하는 것은 당연함"
    ),
    "the head says that it was generated": "머리말에 생성된 파일이라고 적혀 있음",
    "its source is another file; DO NOT EDIT": "원본은 다른 파일임. DO NOT EDIT",
    "longest line": "가장 긴 줄",
    "1000 characters": "1000글자",
    "minified, or data in a string (The Stack)": "압축된 코드이거나 문자열에 넣은 데이터(The Stack)",
    "mean length of lines": "줄의 평균 길이",
    "100 characters": "100글자",
    "minified (The Stack)": "압축된 코드(The Stack)",
    "share of letters": "글자의 비율",
    ">= 0.25": ">= 0.25",
    "data, not a program (The Stack)": "프로그램이 아니라 데이터(The Stack)",
    "share of digits and escapes": "숫자와 이스케이프의 비율",
    "<= 0.3": "<= 0.3",
    "tables of numbers, Unicode data": "숫자 표, 유니코드 데이터",
    "share of repeated statements": "되풀이된 문의 비율",
    "<= 0.5": "<= 0.5",
    "unrolled or generated without saying": "펼쳐 썼거나, 밝히지 않고 생성한 코드",
    # Personal data.
    "Placeholder": "자리표시자",
    "What it stands for": "대신하는 것",
    "e-mail addresses; reserved domains (example.org) and machine accounts (git@) stay": (
        "전자우편 주소. 예약된 도메인(example.org)과 기계용 계정(git@)은 남김"
    ),
    "telephone numbers as they are written in the document's language, and with a country's code; not in code": (
        "전화번호. 문서의 언어에서 쓰는 꼴과 국가 번호가 붙은 꼴. 코드에서는 찾지 않음"
    ),
    "Korean resident registration numbers (check digit, or a date since October 2020), Chinese identity "
    "numbers, Japanese individual numbers, Spanish DNI and NIE, US social security numbers": (
        "주민등록번호(검증 숫자, 2020년 10월부터 발급된 것은 날짜), 중국 신분증 번호, 일본 개인번호, 스페인 DNI와 NIE, "
        "미국 사회보장번호"
    ),
    "payment card numbers: a network's first digits and Luhn's check; not in code": (
        "결제 카드 번호. 카드사의 앞자리와 룬 검사. 코드에서는 찾지 않음"
    ),
    "bank accounts: the country's length and the check modulo 97": "IBAN 계좌. 나라별 길이와 97로 나눈 검사",
    "IPv4 and IPv6 addresses that the Internet routes; private, reserved and well-known ones stay": (
        "인터넷에서 쓰이는 IPv4와 IPv6 주소. 사설·예약·널리 알려진 주소는 남김"
    ),
    "tokens of known forms, passwords in URLs, random values assigned to names such as api_key": (
        "형식이 알려진 토큰, URL 속 암호, api_key 같은 이름에 넣은 무작위 값"
    ),
    "PEM and PGP private key blocks": "PEM과 PGP 개인 키",
    "Kind": "종류",
    "Finder": "찾는 도구",
    "Edited": "고친 비율",
    # Measurements.
    "Measured": "잰 것",
    "Value": "값",
    "configs": "config 수",
    "documents": "문서 수",
    "Parquet files": "Parquet 파일 수",
    "row groups": "row group 수",
    "largest row group, as text": "가장 큰 row group, 압축을 풀었을 때",
    "largest row group, in the file": "가장 큰 row group, 파일에서",
    "seconds to publish": "공개에 걸린 시간(초)",
    "seconds to the first row, the slowest config": "첫 행까지 걸린 시간(초), 가장 느린 config",
    "MB of text a second, config default": "초당 텍스트(MB), config default",
    "Language": "언어",
    "Documents": "문서 수",
    "Bytes of text": "텍스트의 바이트",
    "MB of text": "텍스트(MB)",
    # What stays as it is.
    **{name: name for name in ("ko", "ja", "zh", "es", "en", "code")},
    "Step": "단계",
    "Ours, MB/s": "이 빌드, MB/s",
    "datatrove, MB/s": "datatrove, MB/s",
    "Times as fast": "몇 배 빠른지",
    "normalise": "normalise",
    "length": "length",
    "language": "language",
    "quality": "quality",
    "pii": "pii",
    "decontaminate": "decontaminate",
    "duplicates": "duplicates",
    "near_duplicates": "near_duplicates",
    "parquet": "Parquet 쓰기",
    "end to end": "처음부터 끝까지",
}
