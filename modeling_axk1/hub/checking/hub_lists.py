"""The words that hubs know in a card's metadata.

Source: the hub's documentation of model and dataset cards (repository licences, tasks, libraries), November 2026; only
what a language model's or a text corpus's card may say. Languages are ISO 639-1, three letters where there are no two,
and "code", which hubs show as a language too.
"""

_PIPELINE_TAGS = """
text-generation text-classification token-classification question-answering summarization translation fill-mask
feature-extraction sentence-similarity zero-shot-classification table-question-answering text-ranking image-text-to-
text any-to-any other
"""
_LIBRARIES = """
transformers peft sentence-transformers safetensors pytorch gguf mlx vllm onnx
"""
_RELATIONS = """
adapter finetune merge quantized
"""
_LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-
permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openmdw-1.0 osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib
pddl unknown other
"""
_LANGUAGES = """
code multilingual aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de
dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is
it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr
ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""

PIPELINE_TAGS = frozenset(_PIPELINE_TAGS.split())
LIBRARIES = frozenset(_LIBRARIES.split())
RELATIONS = frozenset(_RELATIONS.split())
LICENCES = frozenset(_LICENCES.split())
LANGUAGES = frozenset(_LANGUAGES.split())
