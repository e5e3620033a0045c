import type {
  EventList,
  LanguagesResponse,
  ListEventsQuery,
  ListVerificationsQuery,
  OutcomeRequest,
  ReplayRequest,
  SendRequest,
  SendResponse,
  SpeakRequest,
  SpeakResponse,
  SpokenCallResponse,
  VerificationListResponse,
  VerificationResponse,
  VerificationSummary,
  VerifyRequest,
  VerifyResponse,
  WebhookEvent,
} from "./api.js";

export type * from "./api.js";
export * from "./errors.js";

export interface LetsTalkOptions {
  /** Where the service is, such as `https://calls.example.com`. */
  url: string;
  /** An API token, `lt_…`. Keep it on a server: who has it can call phones. */
  token: string;
  /** For each try. Default: 10. */
  timeoutSeconds?: number;
  /** How often a request is tried more than once, where that can help. Default: 2. */
  maxRetries?: number;
  /** A `Retry-After` of more than this is not waited for: the error is thrown. Default: 10. */
  longestWaitSeconds?: number;
  fetch?: typeof fetch;
  sleep?: (seconds: number) => Promise<unknown>;
}

export interface CallOptions {
  /** The same key with the same request places one call within 24 hours. One is made if you give none. */
  idempotencyKey?: string;
}

/** Calls a Let's Talk service. Every method rejects with a `LetsTalkError`. Fields are named as in the API. */
export declare class LetsTalk {
  constructor(options: LetsTalkOptions);
  /** Call a phone and read it a new code. Ask the person for the code at once; there is nothing to wait for. */
  send(params: SendRequest, options?: CallOptions): Promise<SendResponse>;
  /** Have the same code spoken again, in the call that is still on the line or in a new one. */
  replay(params: ReplayRequest, options?: CallOptions): Promise<SendResponse>;
  /** Check what the person typed. Rejects with `InvalidCode` for a wrong code, else with `VerificationOver`. */
  verify(params: VerifyRequest): Promise<VerifyResponse>;
  /** A verification with its calls, by its id or that of one of its calls. */
  get(verificationId: string): Promise<VerificationResponse>;
  /** A page of verifications, newest first. */
  list(params?: ListVerificationsQuery): Promise<VerificationListResponse>;
  /** Every verification, newest first, fetched page by page. */
  iterate(params?: Omit<ListVerificationsQuery, "cursor">): AsyncGenerator<VerificationSummary, void, undefined>;
  /** Its code stops working, and a live call is hung up. */
  cancel(verificationId: string): Promise<VerificationResponse>;
  /** Call a phone and say a code of yours, which you check yourself. The token needs the scope `otp:speak`. */
  speak(params: SpeakRequest, options?: CallOptions): Promise<SpeakResponse>;
  /** Say whether a code of yours was typed rightly: the service learns which numbers are worth a call. */
  reportOutcome(callId: string, params: OutcomeRequest): Promise<SpokenCallResponse>;
  /** What became of a call that spoke a code of yours. */
  getSpokenCall(callId: string): Promise<SpokenCallResponse>;
  /** A page of what happened in the last 30 days, newest first. */
  listEvents(params?: ListEventsQuery): Promise<Omit<EventList, "events"> & { events: WebhookEvent[] }>;
  getEvent(eventId: string): Promise<WebhookEvent>;
  /** What calls can speak. */
  listLanguages(): Promise<LanguagesResponse>;
}

export interface ReceivedWebhook {
  /** What was received, byte for byte, before anything parsed it. */
  body: string | Uint8Array;
  headers: Headers | Record<string, string | string[] | undefined>;
  /** `whsec_…`, or several while a secret rotates. */
  secret: string | readonly string[];
  /** How far the timestamp may be from now. Default: 300. */
  toleranceSeconds?: number;
  /** In Unix seconds. Default: this moment. */
  now?: number;
}

/** The event of a webhook, once its signature and timestamp are right. Throws `WebhookNotVerified`. */
export declare function verifyWebhook(webhook: ReceivedWebhook): WebhookEvent;
