"""Safetensors checkpoints: name, read, plan, write, convert and check them; only recoding and measuring need torch.

    names        config -> every tensor's name, shape and meaning; parameters total and active
    dtypes       the format's element types and their widths
    header       read and validate the header of one safetensors file
    store        where a checkpoint's files lie: a folder
    store_http   its siblings on the web: a hub's repository, a web server's folder
    ranges       parts of files over HTTP, whole or not at all
    place        what people name a place by -> its store
    checkpoint   its index, its shards, and whether they agree
    coverage     what a checkpoint lacks, has too much or has in another shape, against its config
    plan         which tensor goes into which shard (pure)
    runs         bytes at equal distances, which is what a cut of a tensor is
    steps        what a plan is made of: bytes that are copied, filled in or recoded
    cut          which bytes of each tensor a rank, some layers or some experts are
    order        the order of tensors in shards, and what stays together
    logical      weights, however stored: experts one by one, a quantised weight with all its parts
    encodings    FP8, INT8 and INT4: names, shapes, config.json
    quantize     and their numbers
    recode       rows of a weight from one form into another
    errorsum     how far weights are off after rounding
    execute      carry out a plan
    notes        how far it is, to go on after a kill
    shard_writer a shard as it grows
    reshard      the same tensors in other shards
    convert      the same weights stored otherwise
    fetch        a part of a checkpoint elsewhere
    write        RawTensor -> shards and index, the index last
    sparse       a checkpoint of holes, to rehearse with
    sizes        numbers of bytes and parameters as people say them
    inspect      what a checkpoint holds, from its headers
    verify       everything that can be wrong with a checkpoint, as a list
    values       NaN and infinity by bit patterns
    facts        what one reading of a file tells: digests, and values that are no numbers
    state        the facts of a run that was stopped
    survey       the facts of many files, on all cores
    listing      which files a release consists of
    manifest     MANIFEST.json: what every file and tensor must be
    record       write MANIFEST.json and SHA256SUMS
    claims       compare files with them
    sign         key pairs and signatures
    check        every file against manifest, sums and signature
    diff         two checkpoints compared weight by weight
    diff_report  what that found, for people and machines
    deviation    how far the values of a weight are apart
    strict_json  JSON without duplicates, surprises or tracebacks

Whoever needs one imports it from its module, so that nobody pays for the others.
"""
